import dataclasses
import json
import shutil
from itertools import product

import numpy as np
import pytest
from PIL import Image
from small_models import write_bert, write_vit

from laya_jax.data import DataConfig, Dataset, Examples, Preprocessing
from laya_jax.engine.parallel import ParallelConfig
from laya_jax.training import BackboneConfig, Config, HeadConfig
from laya_jax.training.loop import Listener
from laya_jax.training.session import start

ONE_DEVICE = ParallelConfig(devices=1)


class Silent(Listener):
    """A listener that remembers the epochs."""

    def __init__(self):
        self.lines = []

    def epoch(self, run, line):
        self.lines.append(line)


@pytest.fixture
def silent():
    return Silent()


@pytest.fixture(scope="session")
def small_config():
    """LAYA on the digits, small enough to compile quickly."""
    return Config(
        backbone=BackboneConfig(widths=(16, 12)), head=HeadConfig(dim=8), batch_size=64, epochs=3, patience=3
    )


@pytest.fixture
def blobs():
    """A data set of 150 points around three corners, 100 of them to train on, as uint8 features."""
    generator = np.random.default_rng(0)
    labels = np.arange(150, dtype=np.int32) % 3
    corners = np.array([[60, 60, 200], [60, 200, 60], [200, 60, 60]])
    inputs = np.clip(generator.normal(corners[labels], 25), 0, 255).astype(np.uint8)
    cuts = (slice(100), slice(100, 120), slice(120, 150))
    splits = [Examples(inputs[cut], labels[cut]) for cut in cuts]
    return Dataset(*splits, ("red", "green", "blue"), Preprocessing("features", (3,), scale=(255.0,)))


@pytest.fixture(scope="session")
def finished_run(small_config, tmp_path_factory):
    """A run that has finished; not to be changed."""
    path = tmp_path_factory.mktemp("runs") / "finished"
    start([small_config], [path], ONE_DEVICE, Silent())
    return path


@pytest.fixture
def run_copy(finished_run, tmp_path):
    """A copy of the run that has finished."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def unfinished_run(run_copy):
    """The same without its result, as if killed while it tested."""
    (run_copy / "result.json").unlink()
    return run_copy


@pytest.fixture
def tiny_config():
    """For the blobs: a few steps an epoch."""
    return Config(
        backbone=BackboneConfig(widths=(8, 6)), head=HeadConfig(dim=4), batch_size=16, epochs=4, patience=4
    )


@pytest.fixture
def with_head(tiny_config):
    return lambda **fields: dataclasses.replace(tiny_config, head=HeadConfig(dim=4, **fields))


@pytest.fixture
def cache_home(tmp_path, monkeypatch):
    """Where hidden states are kept: a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "laya_jax" / "hidden_states"


@pytest.fixture
def photos(tmp_path):
    """Sixty images of three colours."""
    generator = np.random.default_rng(0)
    for label, name in enumerate(("red", "green", "blue")):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 100, (12, 12, 3)).astype(np.uint8)
            pixels[..., label] += 100
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def frozen_vit(tmp_path, photos):
    """A small head on a small frozen ViT."""
    return Config(
        data=DataConfig(source=f"images:{photos}"),
        backbone=BackboneConfig(kind="vit", path=str(write_vit(tmp_path / "vit")), freeze=True),
        head=HeadConfig(dim=8),
        batch_size=16,
        epochs=3,
    )


@pytest.fixture
def frozen_bert(tmp_path):
    """A small head on a small frozen BERT."""
    # Of every length, and no two alike.
    more = [" ".join(words) for length in range(5) for words in product(("a", "film"), repeat=length)][:20]
    rows = [{"text": f"{word} {words}", "label": word} for words in more for word in ("good", "bad")]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    backbone = BackboneConfig(kind="bert", path=str(write_bert(tmp_path / "bert")), freeze=True)
    data = DataConfig(source=f"texts:{tmp_path / 'texts.jsonl'}", max_length=6)
    return Config(data=data, backbone=backbone, head=HeadConfig(dim=8), batch_size=8, epochs=2)
