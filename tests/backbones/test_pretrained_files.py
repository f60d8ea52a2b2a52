"""The files of a pretrained model: shards, prefixes, other formats, damaged and hostile ones."""

import json
import os
import shlex
import struct

import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file
from small_models import change_json, write_bert, write_vit

from laya_jax.backbones import load_pretrained

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_vit(tmp_path_factory.mktemp("models") / "vit")


@pytest.fixture
def folder(original, tmp_path):
    """A ViT of one's own."""
    copy = tmp_path / "vit"
    copy.mkdir()
    for file in original.iterdir():
        os.link(file, copy / file.name)
    return copy


def rewrite(folder, change):
    """Replaces the arrays by what ``change`` makes of them."""
    arrays = change(load_file(folder / WEIGHTS))
    (folder / WEIGHTS).unlink()
    save_file(arrays, folder / WEIGHTS)


def same_parameters(one, other):
    found, expected = (flatten_dict(load_pretrained(path).parameters, sep="/") for path in (one, other))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def fails(folder, message, kind=ValueError):
    """Loading raises one short line."""
    with pytest.raises(kind, match=message) as error:
        load_pretrained(folder)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500 + str(error.value).count(str(folder)) * len(str(folder))


# --- Names


@pytest.mark.parametrize(
    "prefix", ["vit.", "model.", "0.auto_model.", "module.vit.", "backbone.", "a.b.c.d."]
)
def test_a_prefix_before_all_arrays_is_taken_off(folder, original, prefix):
    outer = prefix.partition(".")[0] + "." if prefix.startswith("module") else ""
    rewrite(
        folder,
        lambda arrays: {
            **{prefix + name: array for name, array in arrays.items()},
            f"{outer}classifier.weight": np.zeros((3, 8), np.float32),
        },
    )
    same_parameters(folder, original)


def test_arrays_that_are_there_twice_are_refused(folder, tmp_path):
    rewrite(folder, lambda arrays: {**arrays, "vit.embeddings.cls_token": np.zeros((1, 1, 8), np.float32)})
    fails(folder, r"none missing, 1 \(vit.embeddings.cls_token\) unexpected")
    bert = write_bert(tmp_path / "bert")
    rewrite(bert, lambda arrays: {**arrays, "embeddings.LayerNorm.gamma": np.zeros(8, np.float32)})
    fails(
        bert, "holds embeddings.LayerNorm.weight twice, as embeddings.LayerNorm.* and as embeddings.LayerNorm"
    )


def test_of_two_models_in_one_file_neither_is_taken(folder):
    rewrite(
        folder,
        lambda arrays: {f"{who}.{name}": a for name, a in arrays.items() for who in ("student", "teacher")},
    )
    fails(
        folder,
        r"none missing, 38 \(teacher.embeddings.cls_token, teacher.*, teacher.*, \.\.\.\) unexpected",
    )


def test_missing_and_surplus_arrays_are_counted_and_the_first_ones_named(folder):
    rewrite(
        folder,
        lambda arrays: {
            **{name: a for name, a in arrays.items() if name != "embeddings.cls_token"},
            "embeddings.registers": np.zeros(3, np.float32),
        },
    )
    fails(folder, r"weights: 1 \(embeddings.cls_token\) missing, 1 \(embeddings.registers\) unexpected$")


def test_the_names_of_timm_are_recognised(folder):
    names = [
        f"blocks.{i}.{part}"
        for i in range(12)
        for part in ("norm1.weight", "attn.qkv.weight", "mlp.fc1.bias")
    ]
    rewrite(
        folder, lambda arrays: {name: np.zeros(3, np.float32) for name in ["cls_token", "pos_embed", *names]}
    )
    message = r"weights: 36 \(.*\.\.\.\) missing, 38 \(blocks.*\.\.\.\) unexpected; the names are timm's"
    fails(folder, message)


# --- Shards


def shard(folder, files=("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
    """Divides the weights into two files and an index."""
    arrays = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(arrays)
    parts = dict(zip(files, (names[::2], names[1::2]), strict=True))
    for file, part in parts.items():
        save_file({name: arrays[name] for name in part}, folder / file)
    places = {name: file for file, part in parts.items() for name in part}
    change_json(folder / INDEX, metadata={"total_size": 1}, weight_map=places)
    return places


def test_shards_give_what_one_file_does(folder, original):
    shard(folder)
    same_parameters(folder, original)


def test_shards_may_be_links_as_in_the_cache_of_the_hub(folder, original, tmp_path):
    shard(folder)
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(blobs / str(number))
        file.symlink_to(blobs / str(number))
    same_parameters(folder, original)


@pytest.mark.parametrize(
    "place",
    [
        "../model.safetensors",
        "/etc/model.safetensors",
        "a/b.safetensors",
        "model.bin",
        "..\\x.safetensors",
        3,
    ],
)
def test_a_shard_outside_the_folder_is_refused(folder, place):
    change_json(folder / INDEX, weight_map={**shard(folder), "embeddings.cls_token": place})
    fails(folder, r"index\.json has 'embeddings.cls_token' in .*, expected a \.safetensors file next to it")


def test_a_shard_that_is_missing_is_named(folder):
    places = shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    fails(folder, "it has no model-00002-of-00002.safetensors", FileNotFoundError)
    change_json(folder / INDEX, weight_map={**places, "embeddings.cls_token": "lost.safetensors"})
    fails(folder, "it has no lost.safetensors", FileNotFoundError)


def test_shards_and_index_have_to_agree(folder):
    places = shard(folder)
    change_json(folder / INDEX, weight_map={**places, "new": "model-00001-of-00002.safetensors"})
    fails(folder, r"model-00001-of-00002\.safetensors has no array new, but .*index\.json lists it")
    change_json(folder / INDEX, weight_map={name: places[name] for name in sorted(places)[1:]})
    fails(folder, r"has array embeddings.cls_token, but .*index\.json does not list it")
    second = load_file(folder / "model-00002-of-00002.safetensors")
    save_file({**second, "embeddings.cls_token": np.ones(1)}, folder / "model-00002-of-00002.safetensors")
    change_json(folder / INDEX, weight_map=places)
    fails(folder, r"model-00002-of-00002\.safetensors has array embeddings.cls_token, but .* not list it")


@pytest.mark.parametrize("weight_map", [None, [], {}, "model.safetensors"])
def test_an_index_of_nothing_is_refused(folder, weight_map):
    shard(folder)
    change_json(folder / INDEX, weight_map=weight_map)
    fails(folder, r"weight_map of .*index\.json is .*, expected the file of each array")


# --- Arrays


def test_weights_in_half_precision_are_read(folder, original):
    import ml_dtypes

    for dtype, error in ((np.float16, 1e-3), (ml_dtypes.bfloat16, 1e-2), (np.float64, 0)):
        rewrite(folder, lambda arrays, to=dtype: {name: array.astype(to) for name, array in arrays.items()})
        found, expected = (
            flatten_dict(load_pretrained(path).parameters, sep="/") for path in (folder, original)
        )
        for name, array in expected.items():
            assert found[name].dtype == np.float32
            np.testing.assert_allclose(found[name], array, rtol=error)
        shutil_copy(original, folder)


def shutil_copy(original, folder):
    (folder / WEIGHTS).unlink()
    os.link(original / WEIGHTS, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("dtype", "name"), [("int8", "I8"), ("int64", "I64"), ("bool", "BOOL"), ("float8_e4m3fn", "F8_E4M3")]
)
def test_quantised_weights_are_refused(folder, dtype, name):
    import ml_dtypes

    kind = getattr(ml_dtypes, dtype, None) or np.dtype(dtype)
    array = "encoder.layer.0.output.dense.weight"
    rewrite(folder, lambda arrays: {**arrays, array: arrays[array].astype(kind)})
    fails(folder, rf"{array} has dtype {name}, expected F16, BF16, F32, F64")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_weights_that_are_not_finite_are_refused(folder, value):
    name = "encoder.layer.1.layernorm_after.bias"
    rewrite(folder, lambda arrays: {**arrays, name: np.full(8, value)})
    fails(folder, rf"{name} holds values that are not finite")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("embeddings.position_embeddings", (1, 17, 8)),
        ("embeddings.patch_embeddings.projection.weight", (8, 3, 2, 2)),
        ("embeddings.patch_embeddings.projection.weight", (8,)),
        ("encoder.layer.1.output.dense.bias", (9,)),
    ],
)
def test_arrays_of_another_shape_are_refused(folder, name, shape):
    rewrite(folder, lambda arrays: {**arrays, name: np.zeros(shape, np.float32)})
    fails(folder, f"{name} has shape .*expected")


def test_sizes_far_beyond_the_arrays_cost_nothing(folder):
    change_json(folder / "config.json", image_size=4_000_000, hidden_size=10_000_000, num_attention_heads=1)
    fails(folder, "has shape .*expected")


# --- Files


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 346293852\n"


def header(values, rest=b""):
    text = values if isinstance(values, bytes) else json.dumps(values).encode()
    return struct.pack("<Q", len(text)) + text + rest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, expected its content"),
        (POINTER.encode(), "is a Git LFS pointer, expected the file it stands for: run git lfs pull in"),
        (b"\n<!DOCTYPE html><html>404", "is a web page, expected the file itself"),
        (b"<HTML><body>Sign in</body>", "is a web page, expected the file itself"),
    ],
)
@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_what_is_found_in_the_place_of_a_file_is_named(folder, name, content, message):
    (folder / name).unlink()
    (folder / name).write_bytes(content)
    fails(folder, rf"{name} {message}")


@pytest.mark.parametrize(
    "content",
    [
        b"\x00",
        b"PK\x03\x04" + b"\x00" * 100,
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        header(b"{"),
        header(b"[" * 1000),
        header({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
        header({"a": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
    ],
)
def test_weights_that_are_no_safetensors_are_refused(folder, content):
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).write_bytes(content)
    fails(folder, r"model\.safetensors cannot be read as safetensors")


def test_weights_that_are_cut_off_are_refused(folder):
    whole = (folder / WEIGHTS).read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 100, 8, 4):
        (folder / WEIGHTS).unlink()
        (folder / WEIGHTS).write_bytes(whole[:size])
        fails(folder, r"model\.safetensors cannot be read as safetensors")


# --- Folders


def test_what_is_no_folder_of_a_model_is_named(folder, tmp_path, monkeypatch):
    fails(
        tmp_path / "nowhere", "no pretrained model in .*nowhere: there is no such folder$", FileNotFoundError
    )
    monkeypatch.chdir(tmp_path)
    fails(
        "google/vit-base",
        "there is no such folder; for a model on the hub, write hub:google/vit-base",
        FileNotFoundError,
    )
    (tmp_path / "empty").mkdir()
    fails(tmp_path / "empty", "no pretrained model in .*empty: the folder is empty", FileNotFoundError)
    for name in (WEIGHTS, "config.json"):
        fails(
            folder / name, rf"{name} is a file, expected the folder that holds config.json .*such as {folder}"
        )
    (folder / "config.json").unlink()
    fails(folder, r"no pretrained model in .*vit: it has no config\.json$", FileNotFoundError)
    (folder / "config.json").symlink_to("../blobs/lost")
    fails(
        folder,
        r"it has no config\.json, only a link to \.\./blobs/lost, which does not exist",
        FileNotFoundError,
    )


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("pytorch_model.bin", ""),
        ("pytorch_model.bin.index.json", ""),
        ("tf_model.h5", ", from_tf=True"),
        ("flax_model.msgpack", ", from_flax=True"),
    ],
)
def test_weights_in_another_format_come_with_the_command_that_converts_them(folder, name, option):
    (folder / WEIGHTS).rename(folder / name)
    with pytest.raises(
        FileNotFoundError, match=f"it has no model.safetensors but {name}; convert it"
    ) as error:
        load_pretrained(folder)
    code = f'A.from_pretrained("{folder}"{option}).save_pretrained("{folder}")'
    command = ["python", "-c", f"from transformers import AutoModel as A; {code}"]
    assert shlex.split(str(error.value).partition("): ")[2]) == command


def test_weights_under_another_name_are_pointed_to(folder):
    (folder / WEIGHTS).rename(folder / "model.fp16.safetensors")
    fails(folder, "it has no model.safetensors but model.fp16.safetensors; rename it", FileNotFoundError)
    (folder / "model.fp16.safetensors").unlink()
    fails(folder, "it has no model.safetensors$", FileNotFoundError)


def test_a_bert_of_which_the_words_are_missing_names_them(tmp_path):
    folder = write_bert(tmp_path / "bert")
    rewrite(folder, lambda arrays: {name: a for name, a in arrays.items() if "word" not in name})
    fails(folder, r"1 \(embeddings.word_embeddings.weight\) missing, none unexpected")
