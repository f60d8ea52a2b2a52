"""Training with a pretrained backbone: frozen, from cached hidden states, and not."""

import dataclasses
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image
from real_processes import train_in_two_processes_and_one
from small_models import write_bert, write_vit

from laya_jax.data import DataConfig, Examples
from laya_jax.training import BackboneConfig, Config, HeadConfig, export_model, load_model, predict, start
from laya_jax.training import hidden_states as cache
from laya_jax.training.abstract import abstract_training, lower
from laya_jax.training.hidden_states import cached_hidden_states
from laya_jax.training.parallel import MeshParallel, ParallelConfig
from laya_jax.training.pretrained import load_for, pretrained_of
from laya_jax.training.run import RunDirectory
from laya_jax.training.session import resume

ONE_DEVICE = ParallelConfig(devices=1)


class Counter:
    """A listener that remembers how many hidden states were computed."""

    def __init__(self):
        self.extracted_ones, self.lines = [], []

    def extracted(self, done, total):
        self.extracted_ones.append((done, total))

    def steps(self, done, total):
        pass

    def epoch(self, run, line):
        self.lines.append(line)


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
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
def config(tmp_path, photos):
    return Config(
        data=DataConfig(source=f"images:{photos}"),
        backbone=BackboneConfig(kind="vit", path=str(write_vit(tmp_path / "vit")), freeze=True),
        head=HeadConfig(dim=8),
        batch_size=16,
        epochs=3,
    )


@pytest.fixture
def texts(tmp_path):
    rows = [
        {"text": f"a {word} film" * number, "label": word} for number in range(20) for word in ("good", "bad")
    ]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    backbone = BackboneConfig(kind="bert", path=str(write_bert(tmp_path / "bert")), freeze=True)
    data = DataConfig(source=f"texts:{tmp_path / 'texts.jsonl'}", max_length=6)
    return Config(data=data, backbone=backbone, head=HeadConfig(dim=8), batch_size=8, epochs=2)


def leaves(path):
    return jax.tree.leaves(load_model(path).parameters)


@pytest.mark.parametrize("kind", ["vit", "bert"])
def test_a_frozen_backbone_stays_as_it_was_and_its_hidden_states_are_computed_once(
    kind, tmp_path, request, cache_home
):
    config = request.getfixturevalue({"vit": "config", "bert": "texts"}[kind])
    first, second = Counter(), Counter()
    start([config], [tmp_path / "a"], ONE_DEVICE, first)
    assert sum(done == total for done, total in first.extracted_ones) == 3
    other = dataclasses.replace(config, seed=1, head=HeadConfig(kind="concat", dim=4))
    start([other], [tmp_path / "b"], ONE_DEVICE, second)
    assert second.extracted_ones == []
    assert len(list(cache_home.iterdir())) == 3
    model, given = load_model(tmp_path / "a"), pretrained_of(config)
    jax.tree.map(np.testing.assert_array_equal, model.parameters["backbone"], given.parameters)


def test_the_head_alone_predicts_what_the_whole_model_does(config, tmp_path):
    start([config], [tmp_path / "a"], ONE_DEVICE)
    model, examples = load_model(tmp_path / "a"), load_for(config).test
    outputs = predict(model, examples, ONE_DEVICE)
    whole = model.classifier.apply({"params": model.parameters}, model.schema.preprocessing(examples.inputs))
    np.testing.assert_allclose(outputs.logits, whole.logits, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(outputs.attention, whole.attention, atol=1e-5)


def test_an_export_needs_no_pretrained_model(config, texts, tmp_path):
    for name, asked in (("vit", config), ("bert", texts)):
        start([asked], [tmp_path / f"run-{name}"], ONE_DEVICE)
        model, examples = load_model(tmp_path / f"run-{name}"), load_for(asked).test
        export_model(model, tmp_path / f"export-{name}")
        shutil.rmtree(asked.backbone.path)
        exported = load_model(tmp_path / f"export-{name}")
        again = predict(exported, examples, ONE_DEVICE).logits
        np.testing.assert_array_equal(again, predict(model, examples, ONE_DEVICE).logits)
        if asked is texts:
            found = exported.schema.encoder.encode(["a good film"], 6, "start")
            np.testing.assert_array_equal(found, [[2, 7, 4, 6, 3, 0]])


def test_an_unfrozen_backbone_starts_from_the_weights_and_leaves_them(config, tmp_path):
    unfrozen = dataclasses.replace(
        config, backbone=dataclasses.replace(config.backbone, freeze=False), epochs=1
    )
    counter = Counter()
    start([unfrozen], [tmp_path / "a"], ONE_DEVICE, counter)
    assert counter.extracted_ones == []
    found, given = load_model(tmp_path / "a").parameters["backbone"], pretrained_of(config).parameters
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), found, given)
    # Adam moves every parameter by about the learning rate a step.
    assert 0 < max(jax.tree.leaves(moved)) < 0.01


def test_a_killed_extraction_goes_on_where_it_was(config, tmp_path, cache_home, monkeypatch):
    """Killed for good after some batches, from outside."""
    code = f"""
import os, signal
import json, pathlib
from laya_jax.training import ParallelConfig, start
from laya_jax.training import hidden_states as cache
from laya_jax.training.config import Config, from_json
cache.CHUNK = 1
config = from_json(Config, json.loads(pathlib.Path({str(tmp_path / "config.json")!r}).read_text()))
class Killing:
    def extracted(self, done, total):
        os.kill(os.getpid(), signal.SIGKILL)
start([config], [pathlib.Path({str(tmp_path / "killed")!r})], ParallelConfig(devices=1), Killing())
"""
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not (tmp_path / "killed").exists()
    monkeypatch.setattr(cache, "CHUNK", 1)
    resumed, fresh = Counter(), Counter()
    start([config], [tmp_path / "resumed"], ONE_DEVICE, resumed)
    assert resumed.extracted_ones[0] == (4, 49)
    shutil.rmtree(cache_home)
    start([config], [tmp_path / "fresh"], ONE_DEVICE, fresh)
    assert fresh.extracted_ones[0] == (2, 49)
    jax.tree.map(np.testing.assert_array_equal, leaves(tmp_path / "resumed"), leaves(tmp_path / "fresh"))


def test_several_devices_compute_the_same(config, cache_home):
    pretrained, dataset = pretrained_of(config), load_for(config)
    found = {}
    for number in (1, 8):
        parallel = MeshParallel(jax.devices()[:number])
        folder = cache_home / str(number)
        inputs, preprocessing = dataset.train.inputs, dataset.preprocessing
        found[number] = cached_hidden_states(inputs, pretrained, preprocessing, parallel, directory=folder)
    assert found[1].key == found[8].key
    assert len(found[1]) == 49
    np.testing.assert_allclose(found[1][:], found[8][:], atol=1e-5)


def test_two_processes_compute_the_same(config, photos, tmp_path):
    backbone = f"vit:{config.backbone.path}"
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


def test_texts_of_any_length_come_back_in_their_order(texts, monkeypatch):
    monkeypatch.setattr(cache, "SHORTEST", 2)
    pretrained, dataset = pretrained_of(texts), load_for(texts)
    tokens = dataset.train.inputs
    assert len({int(np.sum(row > 0)) for row in tokens}) > 2
    states = cached_hidden_states(tokens, pretrained, dataset.preprocessing, MeshParallel(jax.devices()[:1]))
    whole = pretrained.backbone.apply({"params": pretrained.parameters}, tokens)
    np.testing.assert_allclose(states[:], np.stack(whole, axis=1), atol=1e-5)


def test_a_damaged_cache_is_made_anew(config, tmp_path, cache_home):
    start([config], [tmp_path / "a"], ONE_DEVICE)
    for folder in cache_home.iterdir():
        (folder / "states.npy").write_bytes((folder / "states.npy").read_bytes()[:300])
    with pytest.warns(UserWarning, match="is damaged and made anew"):
        start([config], [tmp_path / "b"], ONE_DEVICE)
    jax.tree.map(np.testing.assert_array_equal, leaves(tmp_path / "a"), leaves(tmp_path / "b"))


def test_another_model_other_pixels_or_another_pooling_are_not_in_the_cache(config, tmp_path, photos):
    pretrained, dataset = pretrained_of(config), load_for(config, decode=False)
    key = cache.key_of(dataset.train.inputs, pretrained, dataset.preprocessing)
    changed = jax.tree.map(lambda leaf: leaf, pretrained.parameters)
    changed["positions"] = changed["positions"] + np.float32(1e-3)
    backbone = pretrained.backbone.clone(pooling="mean")
    others = [pretrained._replace(parameters=changed), pretrained._replace(backbone=backbone)]
    keys = [cache.key_of(dataset.train.inputs, other, dataset.preprocessing) for other in others]
    lighter = dataclasses.replace(dataset.preprocessing, mean=(0.0,))
    keys.append(cache.key_of(dataset.train.inputs, pretrained, lighter))
    path = dataset.train.inputs.paths[0]
    Image.new("RGB", (12, 12)).save(path)
    keys.append(cache.key_of(load_for(config, decode=False).train.inputs, pretrained, dataset.preprocessing))
    assert len({key, *keys}) == 5


def test_a_run_does_not_go_on_with_other_weights(config, tmp_path):
    start([config], [tmp_path / "a"], ONE_DEVICE)
    (tmp_path / "a" / "result.json").unlink()
    write_vit(tmp_path / "other", seed=2)
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "vit" / "model.safetensors")
    with pytest.raises(ValueError, match=r"weights in .*vit are not those that the run"):
        load_model(tmp_path / "a")
    with pytest.raises(ValueError, match=r"data of .* are not those that the run|weights"):
        resume(RunDirectory.open(tmp_path / "a"), ONE_DEVICE)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("backbone", {"path": "no-such-model"}, "no pretrained model in no-such-model"),
        ("backbone", {"kind": "bert"}, "backbone.kind is|a ViT, expected a BERT"),
        ("data", {"image_size": 14}, "images are 14 x 14 pixels, expected multiples of the patch size, 4"),
        ("data", {"normalize": True}, "data.normalize is True, expected False"),
        ("data", {"source": "digits"}, "images are 8 x 8 pixels|multiples"),
    ],
)
def test_what_does_not_go_together_is_refused(config, tmp_path, section, changes, message):
    if changes.get("source") == "digits":  # grey images of a fitting size are read as grey colours
        start(
            [dataclasses.replace(config, data=DataConfig(source="digits"), epochs=1)],
            [tmp_path / "a"],
            ONE_DEVICE,
        )
        return
    broken = dataclasses.replace(
        config, **{section: dataclasses.replace(getattr(config, section), **changes)}
    )
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        start([broken], [tmp_path / "a"], ONE_DEVICE)
    assert not (tmp_path / "a").exists()


def test_texts_that_are_too_long_for_the_backbone_are_refused_and_empty_ones_are_read(texts, tmp_path):
    longer = dataclasses.replace(texts, data=dataclasses.replace(texts.data, max_length=7))
    with pytest.raises(ValueError, match=r"data.max_length is 7, expected at most 6"):
        start([longer], [tmp_path / "a"], ONE_DEVICE)
    shorter = dataclasses.replace(texts, data=dataclasses.replace(texts.data, max_length=2))
    with pytest.raises(ValueError, match=r"data.max_length is 2, expected more than 2"):
        start([shorter], [tmp_path / "a"], ONE_DEVICE)
    encoder = load_for(texts).encoder
    encoded = encoder.encode(["", "a good good good good film"], 5, "end")
    np.testing.assert_array_equal(encoded, [[2, 3, 0, 0, 0], [2, 4, 4, 6, 3]])
    assert encoder.decode(encoded[1]) == "good good film"


def test_a_picture_that_cannot_be_read_stops_before_anything_is_written(config, tmp_path, photos):
    (photos / "red" / "3.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"3\.png cannot be read as an image"):
        start([config], [tmp_path / "a"], ONE_DEVICE)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "vit"}, "backbone.path is None, expected a pretrained vit"),
        ({"path": "x"}, "backbone.path is 'x', expected None for 'mlp'"),
        ({"freeze": True}, "backbone.freeze is True for 'mlp', which starts at random"),
        ({"kind": "vit", "path": "x", "pooling": "max"}, "backbone.pooling is 'max', expected one of"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        BackboneConfig(**values)


def test_predicting_reads_the_cache(config, tmp_path, cache_home):
    start([config], [tmp_path / "a"], ONE_DEVICE)
    model, dataset = load_model(tmp_path / "a"), load_for(config, decode=False)
    before = sorted(cache_home.iterdir())
    predict(model, dataset.test, ONE_DEVICE)
    assert sorted(cache_home.iterdir()) == before
    predict(model, Examples(dataset.test.inputs[:2], dataset.test.labels[:2]), ONE_DEVICE)
    assert len(list(cache_home.iterdir())) == len(before) + 1


@pytest.mark.parametrize("freeze", [True, False])
def test_training_lowers_for_a_gpu(config, freeze):
    asked = dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, freeze=freeze))
    training = abstract_training(asked)
    assert ("backbone" in training.state.parameters) is not freeze
    assert training.examples.inputs.shape == (49, 2 * 8 if freeze else 12 * 12 * 3)
    assert lower(asked).platforms == ("cuda",)
