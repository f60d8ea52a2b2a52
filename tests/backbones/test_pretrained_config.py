"""The config of a pretrained model: what changes the computation is honoured or refused by its name."""

import json

import numpy as np
import pytest
from small_models import CONFIGS, write_bert, write_vit

from laya_jax.backbones import load_pretrained

HARMLESS = {
    "architectures": ["SomeModel"],
    "transformers_version": "5.24.0",
    "torch_dtype": "float16",
    "dtype": "float16",
    "hidden_dropout_prob": 0.5,
    "attention_probs_dropout_prob": 0.5,
    "initializer_range": 0.5,
    "use_cache": False,
    "chunk_size_feed_forward": 2,
    "output_hidden_states": True,
    "gradient_checkpointing": True,
    "id2label": {"0": "a"},
    "label2id": {"a": 0},
    "problem_type": "regression",
    "tie_word_embeddings": False,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "pruned_heads": {},
    "hidden_act": "gelu",
    "max_length": 20,
}
HARMLESS_OF = {
    "vit": {
        "encoder_stride": 4,
        "pooler_act": "relu",
        "pooler_output_size": 3,
        "qkv_bias": True,
        "num_channels": 3,
    },
    "dinov2": {
        **{"drop_path_rate": 0.5, "layerscale_value": 2.0, "use_mask_token": False, "apply_layernorm": False},
        **{"out_features": ["stage1"], "out_indices": [1], "stage_names": ["stem", "stage1", "stage2"]},
        **{"reshape_hidden_states": False, "use_swiglu_ffn": False, "qkv_bias": True, "num_channels": 3},
    },
    "bert": {
        **{"classifier_dropout": 0.5, "type_vocab_size": 2, "position_embedding_type": "absolute"},
        **{"pad_token_id": None, "directionality": "bidi", "pooler_type": "first_token_transform"},
        **{"bos_token_id": None, "eos_token_id": None},
    },
}

CHANGES = {
    "hidden_act": "relu",
    "is_decoder": True,
    "is_encoder_decoder": True,
    "add_cross_attention": True,
    "cross_attention_hidden_size": 8,
    "encoder_width": 8,
    "pruned_heads": {"0": [1]},
    "per_layer_config": {"0": {"hidden_act": "relu"}},
    "tie_last_hidden_states": True,
    "head_dim": 2,
    "embedding_size": 4,
    "rope_theta": 10000.0,
    "rope_scaling": {"type": "linear"},
    "quantization_config": {"load_in_8bit": True},
    "auto_map": {"AutoModel": "modeling.Model"},
    "something_new": 1,
}
CHANGES_OF = {
    "vit": {
        "qkv_bias": False,
        "num_channels": 1,
        "interpolate_pos_encoding": True,
        "position_embedding_type": "x",
    },
    "dinov2": {"qkv_bias": False, "num_channels": 4, "use_swiglu_ffn": True, "num_register_tokens": 4},
    "bert": {"position_embedding_type": "relative_key", "image_size": 4, "qkv_bias": False, "alibi": True},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of each kind, whose config tests replace."""
    root = tmp_path_factory.mktemp("models")
    folders = {kind: write_vit(root / kind, kind) for kind in ("vit", "dinov2")}
    return {**folders, "bert": write_bert(root / "bert")}


def config_of(models, kind, without=(), **changes):
    """A folder of this kind with these keys in its config."""
    values = {"model_type": kind, **CONFIGS[kind], **changes}
    (models[kind] / "config.json").write_text(
        json.dumps({k: v for k, v in values.items() if k not in without})
    )
    return models[kind]


@pytest.mark.parametrize("kind", CONFIGS)
def test_keys_that_leave_the_hidden_states_alone_are_passed_over(models, kind):
    plain = load_pretrained(config_of(models, kind)).backbone
    assert load_pretrained(config_of(models, kind, **HARMLESS, **HARMLESS_OF[kind])).backbone == plain


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [(kind, key, value) for kind in CONFIGS for key, value in {**CHANGES, **CHANGES_OF[kind]}.items()],
)
def test_keys_that_may_change_the_hidden_states_are_refused_by_name(models, kind, key, value):
    with pytest.raises(
        ValueError, match=rf"^({key} of .*config\.json is|.*config\.json has the key '{key}')"
    ):
        load_pretrained(config_of(models, kind, **{key: value}))


@pytest.mark.parametrize(("kind", "epsilon"), [("vit", 1e-12), ("dinov2", 1e-6), ("bert", 1e-12)])
def test_the_epsilon_is_that_of_the_config_or_else_of_the_family(models, kind, epsilon):
    assert load_pretrained(config_of(models, kind)).backbone.epsilon == epsilon
    assert load_pretrained(config_of(models, kind, layer_norm_eps=0.25)).backbone.epsilon == 0.25


@pytest.mark.parametrize(
    ("kind", "size", "patch"),
    [
        ("vit", [12, 12], 4),
        ("vit", {"height": 12, "width": 12}, [4, 4]),
        ("dinov2", [12, 12], [4, 4]),
        ("dinov2", 12, {"width": 4, "height": 4}),
    ],
)
def test_sizes_of_images_and_patches_may_be_a_number_a_list_or_an_object(models, kind, size, patch):
    backbone = load_pretrained(config_of(models, kind, image_size=size, patch_size=patch)).backbone
    assert (backbone.patch_size, backbone.grid) == (4, (3, 3))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("vit", {"image_size": [12, 12, 12]}, "image_size of .* is .12, 12, 12., expected a whole number"),
        ("vit", {"image_size": "12"}, "image_size of .* is '12', expected a whole number"),
        ("vit", {"image_size": {"shortest_edge": 12}}, "image_size of .* is .'shortest_edge': 12., expected"),
        ("vit", {"image_size": [12, True]}, "image_size of .* is .12, True., expected"),
        ("vit", {"image_size": 3}, "image_size of .* is 3, expected at least patch_size, 4"),
        (
            "vit",
            {"image_size": 10**9},
            "image_size of .* is 1000000000, expected a whole number up to 10,000,000",
        ),
        ("vit", {"patch_size": [4, 2]}, r"patch_size of .* is \[4, 2\], expected a square"),
        ("dinov2", {"image_size": [12, 8]}, r"image_size of .* is \[12, 8\], expected a square for a DINOv2"),
        ("dinov2", {"mlp_ratio": 0}, "mlp_ratio of .* is 0, expected a ratio that gives a width from 1"),
        (
            "dinov2",
            {"intermediate_size": 12},
            "has the key 'intermediate_size', which is unknown for a dinov2",
        ),
        ("vit", {"hidden_size": "8"}, "hidden_size of .* is '8', expected a whole number from 1"),
        ("vit", {"hidden_size": 8.0}, "hidden_size of .* is 8.0, expected a whole number from 1"),
        ("bert", {"hidden_size": True}, "hidden_size of .* is True, expected a whole number from 1"),
        ("bert", {"num_hidden_layers": 10**9}, "num_hidden_layers of .* is 1000000000, expected .* to 1,000"),
        ("bert", {"vocab_size": 0}, "vocab_size of .* is 0, expected a whole number from 1"),
        ("bert", {"vocab_size": 10**100}, r"vocab_size of .* is 1000\d*\.\.\.\d*000, expected"),
        (
            "bert",
            {"num_attention_heads": 3},
            "num_attention_heads of .* is 3, expected a divisor of hidden_size, 8",
        ),
        ("bert", {"pad_token_id": -1}, "pad_token_id of .* is -1, expected a whole number from 0"),
        ("bert", {"layer_norm_eps": -1}, "layer_norm_eps of .* is -1, expected a number from 0"),
        ("bert", {"layer_norm_eps": None}, "layer_norm_eps of .* is None, expected a number from 0"),
        ("bert", {"layer_norm_eps": float("nan")}, "layer_norm_eps of .* is nan, expected a number from 0"),
        ("bert", {"model_type": "clip"}, "model_type of .* is 'clip', expected one of dinov2, vit, bert"),
        (
            "bert",
            {"model_type": ["bert"]},
            r"model_type of .* is \['bert'\], expected one of dinov2, vit, bert",
        ),
        ("bert", {"model_type": None}, "model_type of .* is None, expected one of dinov2, vit, bert"),
        (
            "vit",
            {"model_type": None, "architecture": "vit_small_patch16_224", "pretrained_cfg": {}},
            "is from a timm model, 'vit_small_patch16_224', expected one written by transformers",
        ),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(models, kind, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        load_pretrained(config_of(models, kind, **changes))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "image_size"])
def test_a_size_that_is_missing_is_named(models, key):
    with pytest.raises(ValueError, match=rf"config\.json has no '{key}'"):
        load_pretrained(config_of(models, "vit", without=[key]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "holds .1., expected a JSON object"),
        ("[" * 100_000, "cannot be read as JSON: it is nested too deeply"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "cannot be read as JSON"),
        (b'{"name": "\xe9"}', "is not UTF-8"),
    ],
)
def test_a_config_that_cannot_be_read_is_named(models, content, message):
    file = config_of(models, "vit") / "config.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"config\.json {message}"):
        load_pretrained(models["vit"])


def test_a_config_may_be_read_through_a_link_as_in_the_cache_of_the_hub(models, tmp_path):
    folder = config_of(models, "vit")
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    expected, found = (load_pretrained(path).parameters["class_token"] for path in (folder, tmp_path))
    np.testing.assert_array_equal(found, expected)


def test_an_epsilon_of_the_callers_own_takes_the_place_of_the_configs(models):
    assert load_pretrained(config_of(models, "vit"), epsilon=0.5).backbone.epsilon == 0.5
    assert json.loads((models["vit"] / "config.json").read_text())["hidden_size"] == 8
