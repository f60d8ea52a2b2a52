"""The experiment on the unique head, on a small ViT and few images."""

import json
from argparse import Namespace

import numpy as np
import pytest
from PIL import Image
from small_models import write_vit

from experiments import unique_head
from experiments.configs.unique_head import TRAINED
from experiments.lib import unique_heads


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Arguments with a small ViT, and images of three colours in three splits."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(unique_head, "IMAGE_SIZE", 12)
    generator = np.random.default_rng(0)
    for split, number in (("train", 8), ("validation", 3), ("test", 4)):
        for label, name in enumerate(("blue", "green", "red")):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for i in range(number):
                pixels = generator.integers(0, 100, (12, 12, 3)).astype(np.uint8)
                pixels[..., 2 - label] += 30
                Image.fromarray(pixels).save(folder / f"{i}.png")
    write_vit(tmp_path / "vit")
    folders = [f"--{name}={tmp_path / name}" for name in ("vit", "results", "runs")]
    return [*folders, f"--paintings={tmp_path / 'photos'}", "--splits=2", "--labels", "2", "all"]


@pytest.mark.slow
def test_heads_are_compared_over_draws_and_what_is_there_is_kept(given, tmp_path, monkeypatch):
    monkeypatch.setattr(unique_head, "LABELS", ("2", "all"))
    monkeypatch.setattr(unique_heads, "EPOCHS", 2)
    closed = [name for name in unique_head.HEADS if name not in TRAINED]
    few = {name: unique_heads.trained(TRAINED[name][:1]) for name in ("laya", "concat")}
    monkeypatch.setattr(unique_head, "HEADS", {name: unique_head.HEADS[name] for name in closed} | few)
    unique_head.main(given)
    table = (tmp_path / "results" / "unique_head.txt").read_text()
    for row in ("last layer", "best single layer", "linear", "additive", "gated", "laya", "concat"):
        assert f"\n{row}" in table or f"  {row}" in table
    path = tmp_path / "results" / "unique_head" / "cls-mean-all" / "gated.json"
    record = json.loads(path.read_text())
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    assert record["runs"][0]["test"]["examples"] == len(record["runs"][0]["correct"]) == 12
    assert -1 <= record["draws"]["contributions"]["between"]["centred_correlation"] <= 1
    assert record["solutions"]["contributions"]["between"]["centred_correlation"] > 0.9999
    assert record["solutions"]["contributions"]["between"]["same_top_layer"] == 1
    kept = tmp_path / "runs" / "unique_head" / "cls-mean-all" / "gated-1.json"
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "seconds": 1234.5}))
    unique_head.main(given)
    assert json.loads(path.read_text())["runs"][1]["seconds"] == 1234.5


@pytest.mark.slow
def test_draws_keep_the_numbers_of_each_class_and_share_no_example(given):
    asked = [name.split("=")[1] for name in given if "=" in name]
    dataset, _ = unique_head.load(Namespace(vit=asked[0], paintings=asked[3]))
    train, validation = unique_head.draw(dataset, 0)
    assert np.bincount(train.labels).tolist() == [8, 8, 8]
    assert np.bincount(validation.labels).tolist() == [3, 3, 3]
    rows = {state.tobytes() for part in (train, validation) for state in part.states[0]}
    assert len(rows) == 33
    assert np.bincount(train.few("2").labels).tolist() == [2, 2, 2]
    again, _ = unique_head.draw(dataset, 0)
    np.testing.assert_array_equal(train.states[0], again.states[0])
    other, _ = unique_head.draw(dataset, 1)
    assert not np.array_equal(train.states[0], other.states[0])


def test_a_missing_path_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        unique_head.main([f"--results={tmp_path}", f"--vit={tmp_path}"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "unique_head: --paintings is not given, expected a path\n"
