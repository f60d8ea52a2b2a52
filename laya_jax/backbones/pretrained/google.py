"""Google's .npz files of ViT-B/16 and other sizes."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.backbones.pretrained.rules import Rule, make_parameters, match_names
from laya_jax.backbones.vit import ViT
from laya_jax.typing import Parameters


def from_google(path: Path, options: Mapping[str, Any]) -> tuple[ViT, Parameters]:
    """Loads a ViT in the format of google-research/vision_transformer; its sizes follow from the shapes."""
    from laya_jax.data import read_npz

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
            f"{path} holds no ViT in Google's layout ({error}); found {sorted(arrays)[:8]} ..."
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
    match_names(arrays, rules, r"Transformer/encoder_norm/.+|pre_logits/.+|head/.+", path)
    return backbone, make_parameters(arrays, rules, backbone, path)


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
