"""Training with a pretrained backbone: frozen, from cached hidden states, and not."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from frozen_runs import Counter
from safetensors.numpy import load_file, save_file
from small_models import change_json, write_vit

from laya_jax.backbones import load_pretrained
from laya_jax.backbones.pretrained import read_normalization
from laya_jax.data import DataConfig, Preprocessing, load
from laya_jax.engine.parallel import ParallelConfig
from laya_jax.inputs.cached_states import key_of
from laya_jax.inputs.pretrained import load_for, pretrained_of
from laya_jax.tpu.lowering import abstract_training, lower
from laya_jax.training import BackboneConfig, HeadConfig, export_model, load_model, predict, split_of, start
from laya_jax.training.run_directory import RunDirectory
from laya_jax.training.session import resume

ONE_DEVICE = ParallelConfig(devices=1)
GOLDEN = Path(__file__).parents[1] / "golden"
pytestmark = pytest.mark.usefixtures("cache_home")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vit", "bert"])
def test_a_frozen_backbone_stays_as_it_was_and_its_hidden_states_are_computed_once(
    kind, tmp_path, request, cache_home
):
    config = request.getfixturevalue(f"frozen_{kind}")
    first, second = Counter(), Counter()
    start([config], [tmp_path / "a"], ONE_DEVICE, first)
    assert sum(done == total for done, total in first.extracted_ones) == 3
    other = dataclasses.replace(config, seed=1, head=HeadConfig(kind="concat", dim=4))
    start([other], [tmp_path / "b"], ONE_DEVICE, second)
    assert second.extracted_ones == []
    assert len(list(cache_home.iterdir())) == 3
    model, given = load_model(tmp_path / "a"), pretrained_of(config)
    jax.tree.map(np.testing.assert_array_equal, model.parameters["backbone"], given.parameters)


@pytest.mark.slow
def test_the_head_alone_predicts_what_the_whole_model_does(frozen_vit, tmp_path):
    start([frozen_vit], [tmp_path / "a"], ONE_DEVICE)
    model, examples = load_model(tmp_path / "a"), load_for(frozen_vit).test
    outputs = predict(model, examples, ONE_DEVICE)
    whole = model.classifier.apply({"params": model.parameters}, model.schema.preprocessing(examples.inputs))
    np.testing.assert_allclose(outputs.logits, whole.logits, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(outputs.attention, whole.attention, atol=1e-5)


@pytest.mark.slow
def test_an_export_needs_no_pretrained_model(frozen_vit, frozen_bert, tmp_path):
    for name, asked in (("vit", frozen_vit), ("bert", frozen_bert)):
        start([asked], [tmp_path / f"run-{name}"], ONE_DEVICE)
        model, examples = load_model(tmp_path / f"run-{name}"), load_for(asked).test
        export_model(model, tmp_path / f"export-{name}")
        shutil.rmtree(asked.backbone.path)
        exported = load_model(tmp_path / f"export-{name}")
        again = predict(exported, examples, ONE_DEVICE).logits
        np.testing.assert_array_equal(again, predict(model, examples, ONE_DEVICE).logits)
        if asked is frozen_bert:
            found = exported.schema.encoder.encode(["a good film"], 6, "start")
            np.testing.assert_array_equal(found, [[2, 7, 4, 6, 3, 0]])


@pytest.mark.slow
def test_an_unfrozen_backbone_starts_from_the_weights_and_leaves_them(frozen_vit, tmp_path):
    unfrozen = dataclasses.replace(
        frozen_vit, backbone=dataclasses.replace(frozen_vit.backbone, freeze=False), epochs=1
    )
    counter = Counter()
    start([unfrozen], [tmp_path / "a"], ONE_DEVICE, counter)
    assert counter.extracted_ones == []
    found, given = load_model(tmp_path / "a").parameters["backbone"], pretrained_of(frozen_vit).parameters
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), found, given)
    # Adam moves every parameter by about the learning rate a step.
    assert 0 < max(jax.tree.leaves(moved)) < 0.01


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_weights(frozen_vit, tmp_path):
    start([frozen_vit], [tmp_path / "a"], ONE_DEVICE)
    (tmp_path / "a" / "result.json").unlink()
    write_vit(tmp_path / "other", seed=2)
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "vit" / "model.safetensors")
    with pytest.raises(ValueError, match=r"weights in .*vit are not those that the run"):
        load_model(tmp_path / "a")
    with pytest.raises(ValueError, match=r"weights in .*vit are not those that the run"):
        resume(RunDirectory.open(tmp_path / "a"), ONE_DEVICE)


@pytest.mark.slow
def test_a_run_goes_on_where_its_data_and_weights_have_moved(frozen_vit, tmp_path, photos):
    (result,) = start([frozen_vit], [tmp_path / "a"], ONE_DEVICE)
    photos.rename(tmp_path / "moved")
    (tmp_path / "vit").rename(tmp_path / "moved-vit")
    assert resume(tmp_path / "a", ONE_DEVICE) == result  # of a finished run, without reading anything
    (tmp_path / "a" / "result.json").unlink()
    with pytest.raises(FileNotFoundError, match="no pretrained model in"):
        resume(tmp_path / "a", ONE_DEVICE)
    moved = dataclasses.replace(
        frozen_vit,
        data=dataclasses.replace(frozen_vit.data, source=f"images:{tmp_path / 'moved'}"),
        backbone=dataclasses.replace(frozen_vit.backbone, path=str(tmp_path / "moved-vit")),
    )
    assert resume(tmp_path / "a", ONE_DEVICE, config=moved)["test"] == result["test"]
    model = load_model(tmp_path / "a")
    assert model.config == moved
    assert len(split_of(model, "test").labels) == result["test"]["examples"]


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_data_or_weights_in_another_place(frozen_vit, tmp_path, photos):
    start([frozen_vit], [tmp_path / "a"], ONE_DEVICE)
    shutil.copytree(photos, tmp_path / "fewer")
    next((tmp_path / "fewer").rglob("*.png")).unlink()
    fewer = dataclasses.replace(frozen_vit.data, source=f"images:{tmp_path / 'fewer'}")
    other = dataclasses.replace(frozen_vit.backbone, path=str(write_vit(tmp_path / "other", seed=2)))
    with pytest.raises(ValueError, match=r"the data of 'images:.*fewer' are not those that the run"):
        resume(tmp_path / "a", ONE_DEVICE, config=dataclasses.replace(frozen_vit, data=fewer))
    with pytest.raises(ValueError, match=r"the weights in .*other are not those that the run"):
        resume(tmp_path / "a", ONE_DEVICE, config=dataclasses.replace(frozen_vit, backbone=other))
    assert RunDirectory.open(tmp_path / "a").config == frozen_vit


def test_a_pretrained_backbone_has_its_own_normalisation(frozen_vit, tmp_path):
    images = np.random.default_rng(0).random((40, 16, 16, 3)).astype(np.float32)
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(40) % 2)
    data = DataConfig(source=f"npz:{tmp_path / 'images.npz'}")
    assert load(data).preprocessing.scale != load_for(frozen_vit).preprocessing.scale
    found = load_for(dataclasses.replace(frozen_vit, data=data)).preprocessing
    expected = read_normalization(frozen_vit.backbone.path)
    assert (found.mean, found.scale) == (tuple(expected.mean), tuple(expected.deviation))


def sentence_transformers(folder, flag="pooling_mode_cls_token"):
    """Makes a model of sentence-transformers of a BERT."""
    kind = "sentence_transformers.models."
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    entries = [{"path": path, "type": kind + name} for path, name in modules]
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "1_Pooling").mkdir()
    change_json(folder / "1_Pooling" / "config.json", **{flag: True})


@pytest.mark.slow
def test_a_run_takes_the_pooling_of_sentence_transformers_and_so_does_its_export(frozen_bert, tmp_path):
    sentence_transformers(tmp_path / "bert")
    start([frozen_bert], [tmp_path / "a"], ONE_DEVICE)
    model, examples = load_model(tmp_path / "a"), load_for(frozen_bert).test
    assert model.classifier.backbone.pooling == "cls"
    export_model(model, tmp_path / "export")
    shutil.rmtree(tmp_path / "bert")
    exported = load_model(tmp_path / "export")
    assert exported.classifier.backbone.pooling == "cls"
    whole = exported.classifier.apply({"params": exported.parameters}, examples.inputs)
    np.testing.assert_allclose(
        predict(model, examples, ONE_DEVICE).logits, whole.logits, rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
def test_a_run_that_was_started_with_another_pooling_is_not_read_with_this_one(frozen_bert, tmp_path):
    start([frozen_bert], [tmp_path / "a"], ONE_DEVICE)
    (tmp_path / "a" / "result.json").unlink()
    sentence_transformers(tmp_path / "bert")  # as if the version before had passed over it
    for again in (load_model, lambda path: resume(path, ONE_DEVICE)):
        with pytest.raises(
            ValueError,
            match=r"pooling of the model in .*bert is 'cls', but an earlier version",
        ):
            again(tmp_path / "a")


def test_data_come_with_notes_on_what_the_model_was_made_for(frozen_bert, frozen_vit, tmp_path):
    assert not any("training" in note for note in load_for(frozen_bert).notes)
    sentence_transformers(tmp_path / "bert")
    change_json(tmp_path / "bert" / "sentence_bert_config.json", max_seq_length=4)
    notes = " ".join(load_for(frozen_bert).notes)
    assert "the model was trained on texts of up to 4 tokens, here they have up to 6" in notes
    assert "modules.json: Normalize of the last hidden state is not applied" in notes
    values = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 384, "resample": 2}
    change_json(tmp_path / "vit" / "preprocessor_config.json", **values)
    (note,) = [note for note in load_for(frozen_vit).notes if "vit" in note]
    assert note.endswith(
        "there, they are resized to 384 x 384 pixels (bilinear); here, they are taken as they are"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pad_token_id": 1},
            "pad_token_id of the model in .*bert is 1, expected 0, with which texts are padded",
        ),
        ({"vocab_size": 10}, "the tokenizer of .*bert has 11 tokens, expected at most vocab_size of .*, 10"),
        ({"is_decoder": True}, "is_decoder of .* is True, expected False"),
    ],
)
def test_models_that_would_misread_texts_are_refused(frozen_bert, tmp_path, changes, message):
    change_json(tmp_path / "bert" / "config.json", **changes)
    if "vocab_size" in changes:
        arrays = load_file(tmp_path / "bert" / "model.safetensors")
        name = "embeddings.word_embeddings.weight"
        save_file({**arrays, name: arrays[name][:10]}, tmp_path / "bert" / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        start([frozen_bert], [tmp_path / "a"], ONE_DEVICE)
    assert not (tmp_path / "a").exists()


def test_images_that_a_model_reads_without_normalisation_are_not_normalised(frozen_vit, tmp_path):
    off = {"do_normalize": False, "do_rescale": False}
    change_json(tmp_path / "vit" / "preprocessor_config.json", **off)
    dataset = load_for(frozen_vit)
    pixels = np.asarray(dataset.train.inputs)
    np.testing.assert_allclose(dataset.preprocessing(pixels), pixels.astype(np.float32), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "digits"),
    [
        ("vit", "e8e1d79707833a88e533a05fe24bcded"),
        ("dinov2", "f528b48dc473d3767c86d6bf52aa4143"),
        ("bert", "6b780f6d2a2e882bed5d28360b459972"),
    ],
)
def test_hidden_states_that_were_cached_before_are_found_again(kind, digits):
    """A change of these keys makes every user compute anew, and every committed record unverifiable."""
    pretrained = load_pretrained(GOLDEN / f"small_{kind}")
    preprocessing = Preprocessing("images", (12, 12, 3), mean=(127.5,) * 3, scale=(127.5,) * 3)
    inputs = np.zeros((2, 12, 12, 3), np.uint8)
    if kind == "bert":
        preprocessing, inputs = Preprocessing("tokens", (5,)), np.arange(10, dtype=np.int32).reshape(2, 5)
    assert key_of(inputs, pretrained, preprocessing).digits == digits


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("backbone", {"path": "no-such-model"}, "no pretrained model in no-such-model"),
        ("backbone", {"kind": "bert"}, "backbone.kind is|a ViT, expected a BERT"),
        ("data", {"image_size": 14}, "images are 14 x 14 pixels, expected multiples of the patch size, 4"),
        ("data", {"normalize": True}, "data.normalize is True, expected False"),
    ],
)
def test_incompatible_settings_are_rejected(frozen_vit, tmp_path, section, changes, message):
    broken = dataclasses.replace(
        frozen_vit, **{section: dataclasses.replace(getattr(frozen_vit, section), **changes)}
    )
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        start([broken], [tmp_path / "a"], ONE_DEVICE)
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_grey_images_of_a_fitting_size_are_read_as_grey_colours(frozen_vit, tmp_path):
    digits = dataclasses.replace(frozen_vit, data=DataConfig(source="digits"), epochs=1)
    assert start([digits], [tmp_path / "a"], ONE_DEVICE)[0]["test"]["examples"] > 0


def test_texts_that_are_too_long_for_the_backbone_are_refused_and_empty_ones_are_read(frozen_bert, tmp_path):
    longer = dataclasses.replace(frozen_bert, data=dataclasses.replace(frozen_bert.data, max_length=7))
    with pytest.raises(ValueError, match=r"data.max_length is 7, expected at most 6"):
        start([longer], [tmp_path / "a"], ONE_DEVICE)
    shorter = dataclasses.replace(frozen_bert, data=dataclasses.replace(frozen_bert.data, max_length=2))
    with pytest.raises(
        ValueError, match=r"data.max_length is 2, expected more than the number of special tokens, 2"
    ):
        start([shorter], [tmp_path / "a"], ONE_DEVICE)
    encoder = load_for(frozen_bert).encoder
    encoded = encoder.encode(["", "a good good good good film"], 5, "end")
    np.testing.assert_array_equal(encoded, [[2, 3, 0, 0, 0], [2, 4, 4, 6, 3]])
    assert encoder.decode(encoded[1]) == "good good film"


def test_a_picture_that_cannot_be_read_stops_before_anything_is_written(frozen_vit, tmp_path, photos):
    (photos / "red" / "3.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"3\.png cannot be read as an image"):
        start([frozen_vit], [tmp_path / "a"], ONE_DEVICE)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "vit"}, "backbone.path is None, expected a pretrained vit"),
        ({"path": "x"}, "backbone.path is 'x', expected None for 'mlp'"),
        ({"freeze": True}, "backbone.freeze is True for 'mlp', which is randomly initialised"),
        ({"kind": "vit", "path": "x", "pooling": "max"}, "backbone.pooling is 'max', expected one of"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        BackboneConfig(**values)


@pytest.mark.parametrize("freeze", [True, False])
def test_training_lowers_for_a_gpu(frozen_vit, freeze):
    asked = dataclasses.replace(frozen_vit, backbone=dataclasses.replace(frozen_vit.backbone, freeze=freeze))
    training = abstract_training(asked)
    assert ("backbone" in training.state.parameters) is not freeze
    assert training.examples.inputs.shape == (49, 2 * 8 if freeze else 12 * 12 * 3)
    assert lower(asked).platforms == ("cuda",)
