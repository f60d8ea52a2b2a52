"""The cache of a frozen backbone's hidden states."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from frozen_runs import Counter, leaves
from PIL import Image
from real_processes import train_in_two_processes_and_one

from laya_jax.data import Examples
from laya_jax.data.images import ImageFiles
from laya_jax.engine.parallel import MeshParallel, ParallelConfig
from laya_jax.inputs import cached_states as cache
from laya_jax.inputs.cached_states import cached_hidden_states
from laya_jax.inputs.pretrained import load_for, pretrained_of
from laya_jax.training import export_model, load_model, predict, resume, split_of, start

ONE_DEVICE = ParallelConfig(devices=1)
pytestmark = pytest.mark.usefixtures("cache_home")


@pytest.mark.slow
def test_a_killed_extraction_goes_on_where_it_was(frozen_vit, tmp_path, cache_home, monkeypatch):
    """Killed for good after some batches, from outside."""
    code = f"""
import os, signal
import json, pathlib
from laya_jax.training import Listener, ParallelConfig, start
from laya_jax.inputs import cached_states as cache
from laya_jax.engine.config import Config, from_json
cache.CHUNK = 1
config = from_json(Config, json.loads(pathlib.Path({str(tmp_path / "config.json")!r}).read_text()))
class Killing(Listener):
    def extracted(self, done, total):
        os.kill(os.getpid(), signal.SIGKILL)
start([config], [pathlib.Path({str(tmp_path / "killed")!r})], ParallelConfig(devices=1), Killing())
"""
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(frozen_vit)))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not (tmp_path / "killed").exists()
    monkeypatch.setattr(cache, "CHUNK", 1)
    resumed, fresh = Counter(), Counter()
    start([frozen_vit], [tmp_path / "resumed"], ONE_DEVICE, resumed)
    assert resumed.extracted_ones[0] == (4, 49)
    shutil.rmtree(cache_home)
    start([frozen_vit], [tmp_path / "fresh"], ONE_DEVICE, fresh)
    assert fresh.extracted_ones[0] == (2, 49)
    jax.tree.map(np.testing.assert_array_equal, leaves(tmp_path / "resumed"), leaves(tmp_path / "fresh"))


@pytest.mark.slow
def test_several_devices_compute_the_same(frozen_vit, cache_home):
    pretrained, dataset = pretrained_of(frozen_vit), load_for(frozen_vit)
    found = {}
    for number in (1, 8):
        parallel = MeshParallel(jax.devices()[:number])
        folder = cache_home / str(number)
        inputs, preprocessing = dataset.train.inputs, dataset.preprocessing
        found[number] = cached_hidden_states(inputs, pretrained, preprocessing, parallel, directory=folder)
    assert found[1].key == found[8].key
    assert len(found[1]) == 49
    np.testing.assert_allclose(found[1][:], found[8][:], atol=1e-5)


@pytest.mark.slow
def test_two_processes_compute_the_same(frozen_vit, photos, tmp_path):
    backbone = f"vit:{frozen_vit.backbone.path}"
    options = ["--freeze", "--head.dim", "24", "--batch-size", "16", "--epochs", "2", "--json"]
    train_in_two_processes_and_one(tmp_path, [f"images:{photos}", "--backbone", backbone, *options])
    one, two = (
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    )
    for alone, together in zip(one, two, strict=True):
        assert together["train"]["loss"] == pytest.approx(alone["train"]["loss"], abs=1e-4)
    caches = [np.load(path)[:] for path in sorted(tmp_path.glob("**/states.npy")) if len(np.load(path)) == 49]
    assert len(caches) == 3
    for found in caches[1:]:
        np.testing.assert_allclose(found, caches[0], atol=1e-5)


@pytest.mark.slow
def test_texts_of_any_length_come_back_in_their_order(frozen_bert, monkeypatch):
    monkeypatch.setattr(cache, "SHORTEST", 2)
    pretrained, dataset = pretrained_of(frozen_bert), load_for(frozen_bert)
    tokens = dataset.train.inputs
    assert len({int(np.sum(row > 0)) for row in tokens}) > 2
    states = cached_hidden_states(tokens, pretrained, dataset.preprocessing, MeshParallel(jax.devices()[:1]))
    whole = pretrained.backbone.apply({"params": pretrained.parameters}, tokens)
    np.testing.assert_allclose(states[:], np.stack(whole, axis=1), atol=1e-5)


@pytest.fixture
def states_of(frozen_vit):
    """Computes the hidden states of 49 images, or takes them from the cache, and lists its steps."""

    def states_of(path):
        pretrained, dataset, steps = pretrained_of(frozen_vit), load_for(frozen_vit), []
        states = cached_hidden_states(
            dataset.train.inputs,
            pretrained,
            dataset.preprocessing,
            MeshParallel(jax.devices()[:1]),
            lambda *step: steps.append(step),
            path,
        )
        return states, steps

    return states_of


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["one bit", "a bit of every 16th number", "zeros", "cut off", "no checksums"]
)
def test_damaged_hidden_states_are_computed_again_to_the_bit(states_of, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(cache, "CHUNK", 2)
    before, _ = states_of(tmp_path / "cache")
    whole, content, first = (
        np.array(before),
        before.path.read_bytes(),
        before.path.stat().st_size - before.nbytes,
    )
    damaged = bytearray(content)
    if kind == "one bit":
        damaged[first + 30 * before.nbytes // 49] ^= 1
    elif kind == "a bit of every 16th number":
        damaged[first::64] = bytes(byte ^ 1 for byte in damaged[first::64])
    elif kind == "zeros":
        damaged[first + before.nbytes // 2 :] = bytes(before.nbytes - before.nbytes // 2)
    elif kind == "cut off":
        del damaged[-5:]
    else:
        (before.path.parent / "checksums.npy").unlink()
        (before.path.parent / "progress.json").write_text('{"done": 49, "of": 49}')
    before.path.write_bytes(damaged)
    message = {"one bit": "1 of 49 hidden states", "a bit of every 16th number": "49 of 49 hidden states"}
    with pytest.warns(UserWarning, match=f"{message.get(kind, 'hidden')}.*; they will be recomputed$"):
        after, steps = states_of(tmp_path / "cache")
    assert len(steps) == (1 if kind == "one bit" else 7 if kind == "zeros" else 13)
    assert steps[-1] == (49, 49)
    np.testing.assert_array_equal(after[:], whole)
    assert states_of(tmp_path / "cache")[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["states.npy", "checksums.npy", "lock", "."])
def test_no_link_in_the_cache_is_followed(states_of, tmp_path, name):
    before, _ = states_of(tmp_path / "cache")
    path, victim = before.path.parent / name, tmp_path / "victim"
    path.rename(victim)
    path.symlink_to(victim)
    content = victim.read_bytes() if victim.is_file() else None
    with pytest.raises(ValueError, match=f"{path} is a symbolic link"):
        states_of(tmp_path / "cache")
    assert victim.is_dir() if content is None else victim.read_bytes() == content


def test_another_model_other_pixels_or_another_pooling_are_not_in_the_cache(frozen_vit, tmp_path, photos):
    pretrained, dataset = pretrained_of(frozen_vit), load_for(frozen_vit, decode=False)
    key = cache.key_of(dataset.train.inputs, pretrained, dataset.preprocessing)
    changed = jax.tree.map(lambda leaf: leaf, pretrained.parameters)
    changed["positions"] = changed["positions"] + np.float32(1e-3)
    backbone = pretrained.backbone.clone(pooling="mean")
    others = [pretrained._replace(parameters=changed), pretrained._replace(backbone=backbone)]
    keys = [cache.key_of(dataset.train.inputs, other, dataset.preprocessing) for other in others]
    lighter = dataclasses.replace(dataset.preprocessing, mean=(0.0,))
    keys.append(cache.key_of(dataset.train.inputs, pretrained, lighter))
    path = dataset.train.inputs.pictures[0].path
    Image.new("RGB", (12, 12)).save(path)
    keys.append(
        cache.key_of(load_for(frozen_vit, decode=False).train.inputs, pretrained, dataset.preprocessing)
    )
    assert len({key, *keys}) == 5


@pytest.mark.slow
def test_predicting_reads_the_cache(frozen_vit, tmp_path, cache_home):
    start([frozen_vit], [tmp_path / "a"], ONE_DEVICE)
    model, dataset = load_model(tmp_path / "a"), load_for(frozen_vit, decode=False)
    before = sorted(cache_home.iterdir())
    predict(model, dataset.test, ONE_DEVICE)
    assert sorted(cache_home.iterdir()) == before
    predict(model, Examples(dataset.test.inputs[:2], dataset.test.labels[:2]), ONE_DEVICE)
    assert len(list(cache_home.iterdir())) == len(before) + 1


@pytest.mark.slow
@pytest.mark.parametrize("exported", [False, True])
def test_splits_of_changed_data_are_noticed_without_computing_anything(
    frozen_vit, tmp_path, cache_home, photos, exported
):
    start([frozen_vit], [tmp_path / "run"], ONE_DEVICE)
    model = load_model(tmp_path / "run")
    if exported:
        export_model(model, tmp_path / "model")
        model = load_model(tmp_path / "model")
    shutil.rmtree(cache_home)
    assert isinstance(split_of(model, "test").inputs, ImageFiles)
    next(photos.rglob("*.png")).unlink()
    with pytest.raises(ValueError, match="are not those that the model was trained on"):
        split_of(model, "test")
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(ValueError, match=r"are not those that the run in .* started with"):
        resume(tmp_path / "run", ONE_DEVICE)
    assert not cache_home.exists()


def test_a_full_disk_is_noticed_before_anything_is_computed(frozen_vit, tmp_path, monkeypatch):
    def no_room(descriptor, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    counter = Counter()
    with pytest.raises(OSError, match=r"No space left on device: '.*states\.npy'"):
        start([frozen_vit], [tmp_path / "run"], ONE_DEVICE, counter)
    assert counter.extracted_ones == []
    assert not (tmp_path / "run").exists()
