"""The scripts that need a pretrained backbone, on a small one and few images."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from small_models import write_vit

from experiments import artworks, frozen
from experiments.lib.frozen_tables import path_of, records_of
from laya_jax.data import Dataset, Examples, Preprocessing
from laya_jax.training import Config, HeadConfig


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a small ViT, and images of three colours in three splits."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for split, number in (("train", 48), ("validation", 4), ("test", 4)):
        for label, name in enumerate(("blue_sky", "green", "red")):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for i in range(number):
                pixels = generator.integers(0, 100, (12, 12, 3)).astype(np.uint8)
                pixels[..., 2 - label] += 100
                Image.fromarray(pixels).save(folder / f"{i}.png")
    write_vit(tmp_path / "vit")
    return tmp_path


@pytest.mark.slow
def test_heads_on_frozen_backbones_are_compared_and_tabulated(place, monkeypatch):
    small = {
        name: [frozen.Setting(dataclasses.replace(settings[0].head, dim=24), rate) for rate in (1e-3, 1e-2)]
        for name, settings in frozen.CANDIDATES.items()
        if name in ("last layer", "scalar mix", frozen.RECOMMENDED)
    }
    monkeypatch.setattr(frozen, "CANDIDATES", small)
    monkeypatch.setattr(frozen, "EPOCHS", {"paintings": 2, "imdb": 2})
    monkeypatch.setattr(frozen, "IMAGE_SIZE", 12)
    given = ["--problems", "paintings", "--labels", "all", "--results", str(place / "results")]
    given += ["--vit", str(place / "vit"), "--paintings", str(place / "photos")]
    frozen.main([*given, "--seeds", "2"])
    table = (place / "results" / "frozen.txt").read_text()
    for row in (
        "last layer",
        "best single layer (h",
        "scalar mix",
        "laya, recommended",
    ):
        assert row in table
    path = place / "results" / "frozen" / "paintings-all" / "scalar-mix.json"
    record = json.loads(path.read_text())
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    assert len(record["tried"]) == 2
    assert record["runs"][0]["test"]["examples"] == 12
    # What is there is not computed again, but for what is of another backbone, other settings or fewer seeds.
    path.write_text(json.dumps({**record, "runs": [{**run, "seconds": 1234.5} for run in record["runs"]]}))
    frozen.main([*given, "--seeds", "2"])
    assert "1234.5" in (place / "results" / "frozen.txt").read_text()
    for change in (
        {"weights": 1},
        {"epochs": 9},
        {"tried": record["tried"][:1]},
        {"runs": record["runs"][:1]},
    ):
        path.write_text(json.dumps({**record, **change}))
        frozen.main([*given, "--seeds", "2"])
        again = json.loads(path.read_text())
        assert [run["test"] for run in again["runs"]] == [run["test"] for run in record["runs"]]


def test_the_best_layer_by_the_test_split_is_shown_where_it_is_another_one(tmp_path):
    for name, layer in ((frozen.SINGLE, 1), (frozen.ORACLE, 1)):
        path = path_of(tmp_path, "imdb", "10", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"setting": {"layer": layer}}))
    assert [*records_of(tmp_path, "imdb", "10")] == [frozen.SINGLE]
    path.write_text(json.dumps({"setting": {"layer": 2}}))
    assert [*records_of(tmp_path, "imdb", "10")] == [frozen.SINGLE, frozen.ORACLE]


def trained(monkeypatch, validation, test):
    """Lets every training end with these accuracies of its setting, by learning rate and layer."""

    def train_setting(problem, labels, setting, seeds):
        key = setting.rate, setting.layer
        yield from (
            {"seed": seed, "validation": validation[key], "test": {"accuracy": test[key]}} for seed in seeds
        )

    monkeypatch.setattr(frozen, "train_setting", train_setting)
    split = Examples(np.zeros((2, 2, 1)), np.zeros(2))
    data = Dataset(split, split, split, ("a", "b"), Preprocessing("hidden_states", (2, 1)))
    return frozen.Problem("paintings", Config(), data, None, 0)


def test_settings_and_layers_are_chosen_on_validation_and_not_on_the_test_split(monkeypatch):
    settings = [frozen.Setting(HeadConfig(), rate) for rate in (0.1, 0.2)]
    problem = trained(monkeypatch, {(0.1, None): 0.9, (0.2, None): 0.5}, {(0.1, None): 0.5, (0.2, None): 0.9})
    record = frozen.compare(problem, "all", "laya", settings, seeds=2)
    assert record["setting"]["rate"] == 0.1
    assert [run["test"]["accuracy"] for run in record["runs"]] == [0.5, 0.5]
    monkeypatch.setattr(frozen, "on_one_layer", lambda layer: [frozen.Setting(HeadConfig(), 0.1, layer)])
    problem = trained(monkeypatch, {(0.1, 0): 0.9, (0.1, 1): 0.5}, {(0.1, 0): 0.5, (0.1, 1): 0.9})
    single, oracle = frozen.compare_single_layers(problem, "all", seeds=2)
    assert (single["head"], single["setting"]["layer"]) == (frozen.SINGLE, 0)
    assert (oracle["head"], oracle["setting"]["layer"]) == (frozen.ORACLE, 1)


def test_few_labels_are_as_many_of_each_class_and_drawn_by_seed():
    labels = np.array([0, 1] * 20)
    split = Examples(np.arange(len(labels))[:, None, None], labels)
    dataset = Dataset(split, split, split, ("a", "b"), Preprocessing("hidden_states", (1, 1)))
    one, same, other = (frozen.few(dataset, "10", seed).train for seed in (0, 0, 1))
    assert np.bincount(one.labels).tolist() == [10, 10]
    assert np.array_equal(one.inputs, same.inputs)
    assert not np.array_equal(one.inputs, other.inputs)
    assert frozen.few(dataset, "all", 0) is dataset


def test_no_head_is_tuned_over_more_settings_than_another():
    assert {len(set(settings)) for settings in frozen.CANDIDATES.values()} == {6}
    one_of = [setting._replace(layer=None) for setting in frozen.on_one_layer(3)]
    assert one_of == frozen.CANDIDATES["last layer"]


def test_a_missing_path_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        frozen.main(["--problems", "imdb", "--results", str(tmp_path)])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "frozen: --bert is not given, expected a path\n"


@pytest.mark.slow
def test_the_artworks_figures_are_drawn_from_real_runs(place, monkeypatch, capsys):
    monkeypatch.setattr("laya_jax.engine.presets.PRETRAINED_IMAGE_SIZE", 12)
    given = ["--vit", str(place / "vit"), "--paintings", str(place / "photos"), "--epochs", "2"]
    given += ["--results", str(place / "results"), "--runs", str(place / "runs"), "--processes", "2"]
    artworks.main([*given, "--seeds", "1"])
    figures = sorted(path.name for path in (place / "results" / "figures").glob("*.png"))
    assert figures == ["figure3.png", "figure4-papers-training.png", "figure4-recommended.png"]
    record = json.loads((place / "results" / "artworks" / "papers-training-seed0.json").read_text())
    assert record["config"]["head"]["attention_heads"] == HeadConfig().attention_heads
    assert record["class_names"] == ["blue_sky", "green", "red"]
    assert np.isclose(sum(record["attention"]["mean"]), 1)
    assert "recommended" in (place / "results" / "artworks.txt").read_text()
    (next((place / "photos" / "test" / "red").iterdir())).unlink()
    with pytest.raises(SystemExit) as stop:
        artworks.main([*given, "--seeds", "1"])
    assert stop.value.code == 2
    assert "are of other paintings, or another ViT" in capsys.readouterr().err
