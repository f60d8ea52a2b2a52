"""Pretrained weights as the backbones of this package: Hugging Face's layouts, and Google's of ViT.

Strict: every array of a file is used or known to be of no use, every parameter gets one of its shape.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from numpy.typing import NDArray

from laya_jax.backbones.bert import BERT
from laya_jax.backbones.vit import ViT
from laya_jax.typing import Parameters

WEIGHTS, CONFIG = "model.safetensors", "config.json"


class Pretrained(NamedTuple):
    """A backbone with its weights: ``backbone.apply({"params": parameters}, inputs)``.

    Attributes:
      backbone: a ``ViT`` or ``BERT``.
      parameters: of it, NumPy arrays.
    """

    backbone: nn.Module
    parameters: Parameters


class Rule(NamedTuple):
    """Where a parameter comes from.

    Attributes:
      source: name of the array in the file.
      change: what makes the parameter of it.
    """

    source: str
    change: Callable[[NDArray], NDArray] = lambda array: array


Rules = dict[str, Rule]
"""By the parameter's path, joined by "/"."""


def load_pretrained(path: str | Path, **options: Any) -> Pretrained:
    """Loads a pretrained backbone.

    Args:
      path: a folder with ``config.json`` and ``model.safetensors`` as Hugging Face writes them, of a ViT, a
        DINOv2 or a BERT; or an ``.npz`` of a ViT by Google (ImageNet-21k, with or without pre-logits).
      **options: of the backbone, such as ``pooling`` and ``dtype``.

    Returns:
      The backbone and its parameters.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it cannot be read, is of a model that is not known, or does not hold the arrays that the
        model needs; names that are missing and names that were not expected are both told.
    """
    path = Path(path).expanduser()
    if path.suffix == ".npz":
        return _from_google(path, options)
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
    try:
        backbone, rules, unused = LAYOUTS[kind](config, options)
    except KeyError as missing:
        raise ValueError(f"{path / CONFIG} does not say {missing}") from missing
    arrays = _read_safetensors(path / WEIGHTS)
    arrays = {re.sub(rf"^{kind}\.", "", name): array for name, array in arrays.items()}
    return Pretrained(backbone, _assembled(arrays, rules, unused, backbone, path / WEIGHTS))


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


def _from_google(path: Path, options: Mapping[str, Any]) -> Pretrained:
    """A ViT in the layout of vision_transformer; its sizes are read off the shapes."""
    from laya_jax.data.npz import read_npz

    arrays = read_npz(path)
    depth = len(
        {match[1] for name in arrays if (match := re.match(r"Transformer/encoderblock_(\d+)/", name))}
    )
    first = "Transformer/encoderblock_0"
    try:
        size, _, _, width = arrays["embedding/kernel"].shape
        heads = arrays[f"{first}/MultiHeadDotProductAttention_1/query/kernel"].shape[1]
        mlp_width = arrays[f"{first}/MlpBlock_3/Dense_0/kernel"].shape[1]
        positions = arrays["Transformer/posembed_input/pos_embedding"].shape[1] - 1
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(
            f"{path} holds no ViT in Google's layout ({error}); it has {sorted(arrays)[:8]} ..."
        ) from error
    side = math.isqrt(positions)
    backbone = ViT(
        patch_size=size,
        width=width,
        depth=depth,
        heads=heads,
        mlp_width=mlp_width,
        grid=(side, side),
        **options,
    )
    rules = dict(_google_rules(depth, width))
    unused = r"Transformer/encoder_norm/|pre_logits/|head/"
    return Pretrained(backbone, _assembled(arrays, rules, unused, backbone, path))


def _google_rules(depth: int, width: int) -> Iterator[tuple[str, Rule]]:
    def to_matrix(array: NDArray) -> NDArray:
        return array.reshape(width, width)

    yield "class_token", Rule("cls", lambda array: array[0])
    yield "positions", Rule("Transformer/posembed_input/pos_embedding", lambda array: array[0])
    yield "patches/kernel", Rule("embedding/kernel", lambda array: array.reshape(-1, width))
    yield "patches/bias", Rule("embedding/bias")
    for i in range(depth):
        block, theirs = f"block_{i}", f"Transformer/encoderblock_{i}"
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        for part in ("query", "key", "value", "out"):
            yield f"{block}/attention/{part}/kernel", Rule(f"{attention}/{part}/kernel", to_matrix)
            yield f"{block}/attention/{part}/bias", Rule(f"{attention}/{part}/bias", np.ravel)
        for ours, norm in (("norm_1", "LayerNorm_0"), ("norm_2", "LayerNorm_2")):
            for name in ("scale", "bias"):
                yield f"{block}/{ours}/{name}", Rule(f"{theirs}/{norm}/{name}")
        for ours, dense in (("hidden", "Dense_0"), ("out", "Dense_1")):
            for name in ("kernel", "bias"):
                yield f"{block}/mlp/{ours}/{name}", Rule(f"{theirs}/MlpBlock_3/{dense}/{name}")


def _assembled(
    arrays: Mapping[str, NDArray], rules: Rules, unused: str, backbone: nn.Module, path: Path
) -> Parameters:
    """The backbone's parameters, every array and every parameter accounted for."""
    expected = {rule.source for rule in rules.values()}
    found = {name for name in arrays if not re.match(unused, name)}
    if expected != found:
        raise ValueError(
            f"{path} does not hold the weights that its model needs: missing {sorted(expected - found)}, "
            f"not expected {sorted(found - expected)}"
        )
    example = jnp.zeros((1, 1), jnp.int32)
    if isinstance(backbone, ViT):
        example = jnp.zeros((1, *(side * backbone.patch_size for side in backbone.grid), 3))
    shapes = jax.eval_shape(backbone.init, jax.random.key(0), example)["params"]
    parameters = {}
    for target, shape in flatten_dict(shapes, sep="/").items():
        source, change = rules[target]
        try:
            array = np.ascontiguousarray(change(arrays[source]), np.float32)
        except (ValueError, IndexError):
            array = arrays[source]
        if array.shape != shape.shape:
            raise ValueError(
                f"{path}: {source} has shape {arrays[source].shape}, which makes {array.shape} of {target}; "
                f"expected {shape.shape}"
            )
        parameters[target] = array
    return unflatten_dict(parameters, sep="/")


def _read_safetensors(path: Path) -> dict[str, NDArray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
