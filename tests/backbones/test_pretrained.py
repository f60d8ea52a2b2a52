import sys
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file
from small_models import IMAGES, SMALL, SMALL_BERT, hugging_face, tensors, write, write_bert

from laya_jax.backbones import load_pretrained
from laya_jax.backbones.pretrained import read_normalization, read_tokenizer
from laya_jax.data import Preprocessing
from laya_jax.data.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS = Path("~/.cache/laya_models").expanduser()
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def model_folder(name):
    if not (MODELS / name / "model.safetensors").exists():
        pytest.skip(f"no pretrained model in {MODELS / name}: put its Hugging Face folder there")
    return MODELS / name


def read_golden(name):
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


@pytest.mark.slow
def test_a_real_vit_gives_what_another_program_computed():
    golden = read_golden("vit_s14")
    backbone, parameters = load_pretrained(model_folder("vit-s14"), pooling="cls+mean")
    images = (golden["images"] / np.float32(255) - MEAN) / DEVIATION
    hidden_states = jax.jit(backbone.apply)({"params": parameters}, images)
    found = np.stack(hidden_states, axis=1)
    np.testing.assert_allclose(found[:, :, :384], golden["cls"], atol=1e-3)
    np.testing.assert_allclose(found[:, :, 384:], golden["mean"], atol=1e-3)


@pytest.mark.slow
def test_a_real_bert_gives_what_another_program_computed():
    golden = read_golden("minilm_l6")
    backbone, parameters = load_pretrained(model_folder("minilm-l6"), pooling="cls+mean")
    tokens, mask = jnp.asarray(golden["input_ids"], jnp.int32), jnp.asarray(golden["attention_mask"], bool)
    hidden_states = jax.jit(backbone.apply)({"params": parameters}, tokens, mask)
    found = np.stack(hidden_states, axis=1)
    np.testing.assert_allclose(found[:, :, :384], golden["cls"], atol=1e-3)
    np.testing.assert_allclose(found[:, :, 384:], golden["mean"], atol=1e-3)


@pytest.mark.parametrize("kind", ["vit", "oblong_vit", "dinov2", "bert"])
def test_small_models_give_at_all_positions_what_hugging_face_computes(kind):
    folder = GOLDEN / f"small_{kind}"
    golden = read_golden(f"small_{kind}/golden")
    backbone, parameters = load_pretrained(folder, pooling=None)
    if kind == "bert":
        inputs = (jnp.asarray(golden["input_ids"], jnp.int32), jnp.asarray(golden["attention_mask"], bool))
        expected, here = golden["hidden_states"], golden["attention_mask"][..., None]
    else:
        inputs = (golden["pixel_values"].transpose(0, 2, 3, 1),)
        expected, here = golden["hidden_states"][1:], 1  # the first one is what goes into the blocks
    found = np.stack(jax.jit(backbone.apply)({"params": parameters}, *inputs))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found * here, expected * here, atol=2e-5)


def google(of, *, pre_logits):
    """The arrays of a small ViT as Google's files hold them."""
    arrays = {
        "cls": of["class_token"].reshape(1, 1, 8),
        "Transformer/posembed_input/pos_embedding": of["positions"].reshape(1, 10, 8),
        "embedding/kernel": of["patches/kernel"].reshape(4, 4, 3, 8),
        "embedding/bias": of["patches/bias"],
        "Transformer/encoder_norm/scale": np.ones(8, np.float32),
        "Transformer/encoder_norm/bias": np.zeros(8, np.float32),
        "head/kernel": np.zeros((8, 5), np.float32),
        "head/bias": np.zeros(5, np.float32),
    }
    if pre_logits:
        arrays |= {
            "pre_logits/kernel": np.zeros((8, 8), np.float32),
            "pre_logits/bias": np.zeros(8, np.float32),
        }
    for i in range(2):
        ours, theirs = f"block_{i}", f"Transformer/encoderblock_{i}"
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        for part in ("query", "key", "value"):
            arrays[f"{attention}/{part}/kernel"] = of[f"{ours}/attention/{part}/kernel"].reshape(8, 2, 4)
            arrays[f"{attention}/{part}/bias"] = of[f"{ours}/attention/{part}/bias"].reshape(2, 4)
        arrays[f"{attention}/out/kernel"] = of[f"{ours}/attention/out/kernel"].reshape(2, 4, 8)
        arrays[f"{attention}/out/bias"] = of[f"{ours}/attention/out/bias"]
        for norm, number in (("LayerNorm_0", 1), ("LayerNorm_2", 2)):
            for name in ("scale", "bias"):
                arrays[f"{theirs}/{norm}/{name}"] = of[f"{ours}/norm_{number}/{name}"]
        for dense, name in (("Dense_0", "hidden"), ("Dense_1", "out")):
            for leaf in ("kernel", "bias"):
                arrays[f"{theirs}/MlpBlock_3/{dense}/{leaf}"] = of[f"{ours}/mlp/{name}/{leaf}"]
    return arrays


@pytest.mark.slow
@pytest.mark.parametrize("pre_logits", [True, False])
def test_a_vit_in_googles_layout(tmp_path, pre_logits):
    expected = tensors(SMALL, IMAGES)
    np.savez(tmp_path / "vit.npz", **google(expected, pre_logits=pre_logits))
    backbone, parameters = load_pretrained(tmp_path / "vit.npz", pooling="mean")
    assert backbone == SMALL.clone(pooling="mean")
    found = flatten_dict(parameters, sep="/")
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    assert len(backbone.apply({"params": parameters}, IMAGES)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("prefix", [True, False])
@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_a_vit_in_hugging_faces_layouts(tmp_path, kind, prefix):
    model = SMALL.clone(layer_scale=kind == "dinov2")
    expected = tensors(model, IMAGES)
    arrays = hugging_face(expected, kind)
    if prefix:
        arrays = {f"{kind}.{name}": array for name, array in arrays.items()}
        arrays["classifier.weight"] = np.zeros((3, 8), np.float32)
    backbone, parameters = load_pretrained(write(tmp_path / "m", kind, arrays))
    # The epsilon that transformers takes for each where the config has none.
    assert backbone == model.clone(epsilon={"vit": 1e-12, "dinov2": 1e-6}[kind])
    for name, array in flatten_dict(parameters, sep="/").items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "m", "vit", hugging_face(tensors(SMALL, IMAGES), "vit"))


@pytest.mark.slow
def test_a_bert_has_its_sizes_from_its_config(tmp_path):
    model = SMALL_BERT
    of = tensors(model, jnp.ones((1, 3), int))
    backbone, parameters = load_pretrained(write_bert(tmp_path / "m", of))
    assert backbone == model
    for name, array in flatten_dict(parameters, sep="/").items():
        np.testing.assert_array_equal(array, of[name])


def test_a_bert_may_have_the_names_that_tensorflows_had(tmp_path):
    of = tensors(SMALL_BERT, jnp.ones((1, 3), int))
    folder = write_bert(tmp_path / "m", of)
    arrays = load_file(folder / "model.safetensors")
    old = {
        "bert." + name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): array
        for name, array in arrays.items()
    }
    assert set(old).isdisjoint(arrays)
    save_file(old, folder / "model.safetensors")
    _, parameters = load_pretrained(folder)
    for name, array in flatten_dict(parameters, sep="/").items():
        np.testing.assert_array_equal(array, of[name])


BERT_HEADS = {
    "pretraining": [
        "cls.predictions.bias",
        "cls.predictions.transform.dense.weight",
        "cls.seq_relationship.bias",
    ],
    "masked words": ["cls.predictions.bias", "cls.predictions.decoder.weight"],
    "sequences or tokens": ["classifier.weight", "classifier.bias"],
    "questions": ["qa_outputs.weight", "qa_outputs.bias"],
}


@pytest.mark.parametrize("names", BERT_HEADS.values(), ids=BERT_HEADS)
def test_a_bert_may_have_a_head(tmp_path, names):
    of = tensors(SMALL_BERT, jnp.ones((1, 3), int))
    folder = write_bert(tmp_path / "m", of)
    arrays = {f"bert.{name}": array for name, array in load_file(folder / "model.safetensors").items()}
    arrays |= {name: np.zeros(3, np.float32) for name in names}
    save_file(arrays, folder / "model.safetensors")
    _, parameters = load_pretrained(folder)
    for name, array in flatten_dict(parameters, sep="/").items():
        np.testing.assert_array_equal(array, of[name])


def test_a_model_of_the_hub_is_downloaded_first(folder, monkeypatch):
    asked = []

    def snapshot_download(name, allow_patterns):
        asked.append((name, allow_patterns))
        if name == "nobody/nothing":
            raise OSError("404\n\nThere is no such model.")
        return str(folder)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    backbone, _ = load_pretrained("hub:somebody/vit")
    assert backbone.depth == 2
    assert asked[0][0] == "somebody/vit"
    wanted = [
        *("model.safetensors", "model.safetensors.index.json", "model-00001-of-00002.safetensors"),
        *("config.json", "preprocessor_config.json", "processor_config.json"),
        *("tokenizer.json", "vocab.txt", "tokenizer_config.json"),
        *("modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "0_Transformer/config.json"),
    ]
    for name in wanted:
        assert any(fnmatch(name, pattern) for pattern in asked[0][1]), name
    for name in (
        "pytorch_model.bin",
        "model.pt",
        "model.pkl",
        "tf_model.h5",
        "modeling.py",
        "onnx/model.onnx",
    ):
        assert not any(fnmatch(name, pattern) for pattern in asked[0][1]), name
    with pytest.raises(
        FileNotFoundError, match="nobody/nothing cannot be downloaded from the hub: 404 There is no"
    ):
        load_pretrained("hub:nobody/nothing")
    (folder / "model.safetensors").unlink()
    message = r"on the hub; .*A\.from_pretrained\(.somebody/vit.\)\.save_pretrained\(.vit.\)'$"
    with pytest.raises(FileNotFoundError, match=message):
        load_pretrained("hub:somebody/vit")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'laya-jax\[hub\]'"):
        load_pretrained("hub:somebody/vit")


@pytest.mark.slow
def test_real_images_and_texts_through_our_own_preprocessing_give_what_other_programs_computed(tmp_path):
    golden, path = read_golden("vit_s14"), model_folder("vit-s14")
    mean, deviation = read_normalization(path)
    preprocessing = Preprocessing(
        "images",
        (224, 224, 3),
        mean=tuple(255 * each for each in mean),
        scale=tuple(255 * each for each in deviation),
    )
    backbone, parameters = load_pretrained(path)
    states = jax.jit(backbone.apply)({"params": parameters}, preprocessing(jnp.asarray(golden["images"])))
    np.testing.assert_allclose(np.stack(states, axis=1), golden["cls"], atol=1e-3)
    golden, path = read_golden("minilm_l6"), model_folder("minilm-l6")
    tokens = Tokenizer(read_tokenizer(path)).encode(golden["texts"].tolist(), 64, "start")
    np.testing.assert_array_equal(tokens[:, : golden["input_ids"].shape[1]], golden["input_ids"])
    backbone, parameters = load_pretrained(path, pooling="mean")
    states = jax.jit(backbone.apply)({"params": parameters}, tokens)
    np.testing.assert_allclose(np.stack(states, axis=1), golden["mean"], atol=1e-3)
