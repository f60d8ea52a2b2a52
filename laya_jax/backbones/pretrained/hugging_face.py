"""Folders as Hugging Face writes them, of ViT, DINOv2 and BERT."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import numpy as np
from numpy.typing import NDArray

from laya_jax.backbones.bert import BERT
from laya_jax.backbones.pretrained.rules import Rule, Rules, assemble
from laya_jax.backbones.vit import ViT
from laya_jax.typing import Parameters

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def from_hugging_face(path: Path, options: Mapping[str, Any]) -> tuple[nn.Module, Parameters]:
    """The backbone in a folder, and its parameters.

    Raises:
      FileNotFoundError: there is no model in the folder.
      ValueError: it is no model that is known.
    """
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            raise FileNotFoundError(f"no pretrained model in {path}: it has no {name}")
    try:
        config = json.loads((path / CONFIG).read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path / CONFIG} cannot be read as JSON: {error}") from error
    kind = config.get("model_type")
    if kind not in LAYOUTS:
        raise ValueError(f"model_type of {path / CONFIG} is {kind!r}, expected one of {', '.join(LAYOUTS)}")
    if config.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"hidden_act of {path / CONFIG} is {config['hidden_act']!r}, expected 'gelu'")
    try:
        backbone, rules, unused = LAYOUTS[kind](config, options)
    except KeyError as missing:
        raise ValueError(f"{path / CONFIG} does not say {missing}") from missing
    arrays = _read_safetensors(path / WEIGHTS)
    arrays = {_present_name(name, kind): array for name, array in arrays.items()}
    return backbone, assemble(arrays, rules, unused, backbone, path / WEIGHTS)


def _present_name(name: str, kind: str) -> str:
    """An array's name without the prefix of models with a task, and as it is since TensorFlow's are gone.

    >>> _present_name("bert.embeddings.LayerNorm.gamma", "bert")
    'embeddings.LayerNorm.weight'
    """
    name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name.removeprefix(f"{kind}."))
    return re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)


def _dinov2(config: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[nn.Module, Rules, str]:
    backbone = _hugging_face_vit(config, {"layer_scale": True, **options})
    rules = _hugging_face_embeddings()
    for i in range(backbone.depth):
        block, layer = f"block_{i}", f"encoder.layer.{i}"
        rules |= {
            **_norm(f"{block}/norm_1", f"{layer}.norm1"),
            **_hugging_face_attention(block, layer),
            f"{block}/scale_1": Rule(f"{layer}.layer_scale1.lambda1"),
            **_norm(f"{block}/norm_2", f"{layer}.norm2"),
            **_dense(f"{block}/mlp/hidden", f"{layer}.mlp.fc1"),
            **_dense(f"{block}/mlp/out", f"{layer}.mlp.fc2"),
            f"{block}/scale_2": Rule(f"{layer}.layer_scale2.lambda1"),
        }
    return backbone, rules, r"layernorm\.|classifier\.|embeddings\.mask_token$"


def _vit(config: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[nn.Module, Rules, str]:
    backbone = _hugging_face_vit(config, options)
    rules = _hugging_face_embeddings()
    for i in range(backbone.depth):
        block, layer = f"block_{i}", f"encoder.layer.{i}"
        rules |= {
            **_norm(f"{block}/norm_1", f"{layer}.layernorm_before"),
            **_hugging_face_attention(block, layer),
            **_norm(f"{block}/norm_2", f"{layer}.layernorm_after"),
            **_dense(f"{block}/mlp/hidden", f"{layer}.intermediate.dense"),
            **_dense(f"{block}/mlp/out", f"{layer}.output.dense"),
        }
    return backbone, rules, r"layernorm\.|pooler\.|classifier\.|embeddings\.mask_token$"


def _bert(config: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[nn.Module, Rules, str]:
    backbone = BERT(
        vocabulary_size=config["vocab_size"],
        width=config["hidden_size"],
        depth=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        mlp_width=config["intermediate_size"],
        max_length=config["max_position_embeddings"],
        padding_id=config.get("pad_token_id", 0),
        **{"epsilon": config.get("layer_norm_eps", 1e-12), **options},
    )
    rules: Rules = {
        "words/embedding": Rule("embeddings.word_embeddings.weight"),
        "positions": Rule("embeddings.position_embeddings.weight"),
        "segment": Rule("embeddings.token_type_embeddings.weight", lambda array: array[:1]),
        **_norm("norm", "embeddings.LayerNorm"),
    }
    for i in range(backbone.depth):
        ours, layer = f"layer_{i}", f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            rules |= _dense(f"{ours}/attention/{part}", f"{layer}.attention.self.{part}")
        rules |= {
            **_dense(f"{ours}/attention/out", f"{layer}.attention.output.dense"),
            **_norm(f"{ours}/norm_1", f"{layer}.attention.output.LayerNorm"),
            **_dense(f"{ours}/mlp/hidden", f"{layer}.intermediate.dense"),
            **_dense(f"{ours}/mlp/out", f"{layer}.output.dense"),
            **_norm(f"{ours}/norm_2", f"{layer}.output.LayerNorm"),
        }
    return backbone, rules, r"pooler\.|cls\.|embeddings\.position_ids$"


LAYOUTS: Mapping[str, Callable[..., tuple[nn.Module, Rules, str]]] = {
    "dinov2": _dinov2,
    "vit": _vit,
    "bert": _bert,
}
"""By ``model_type``: backbone, rules, and a pattern of what a file may hold besides."""


def _hugging_face_vit(config: Mapping[str, Any], options: Mapping[str, Any]) -> ViT:
    side = config["image_size"] // config["patch_size"]
    width = config["hidden_size"]
    return ViT(
        patch_size=config["patch_size"],
        width=width,
        depth=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        mlp_width=config.get("intermediate_size", int(width * config.get("mlp_ratio", 4))),
        grid=(side, side),
        **{"epsilon": config.get("layer_norm_eps", 1e-12), **options},
    )


def _hugging_face_embeddings() -> Rules:
    return {
        "class_token": Rule("embeddings.cls_token", lambda array: array[0]),
        "positions": Rule("embeddings.position_embeddings", lambda array: array[0]),
        "patches/kernel": Rule(
            "embeddings.patch_embeddings.projection.weight",
            lambda array: array.transpose(2, 3, 1, 0).reshape(-1, len(array)),
        ),
        "patches/bias": Rule("embeddings.patch_embeddings.projection.bias"),
    }


def _hugging_face_attention(block: str, layer: str) -> Rules:
    rules = _dense(f"{block}/attention/out", f"{layer}.attention.output.dense")
    for part in ("query", "key", "value"):
        rules |= _dense(f"{block}/attention/{part}", f"{layer}.attention.attention.{part}")
    return rules


def _dense(target: str, source: str) -> Rules:
    return {
        f"{target}/kernel": Rule(f"{source}.weight", np.transpose),
        f"{target}/bias": Rule(f"{source}.bias"),
    }


def _norm(target: str, source: str) -> Rules:
    return {f"{target}/scale": Rule(f"{source}.weight"), f"{target}/bias": Rule(f"{source}.bias")}


def _read_safetensors(path: Path) -> dict[str, NDArray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
