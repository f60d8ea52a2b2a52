"""Mapping of the arrays of Hugging Face's ViT, DINOv2 and BERT to the parameters of our backbones."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from laya_jax.backbones.bert import BERT
from laya_jax.backbones.pretrained.config import ModelConfig
from laya_jax.backbones.pretrained.rules import Rule, Rules
from laya_jax.backbones.transformer import Transformer
from laya_jax.backbones.vit import ViT


class Layout(NamedTuple):
    """A backbone, and the arrays in which its weights are stored.

    Attributes:
      backbone: Module with the sizes of the config.
      rules: Source of each parameter.
      unused: Pattern of the names of other permitted arrays: heads, buffers, and layers after the last hidden
        state.
    """

    backbone: Transformer
    rules: Rules
    unused: str


def _dinov2(config: ModelConfig) -> Layout:
    backbone = _sized_vit(config).clone(layer_scale=True)
    rules = _vit_embeddings()
    for i in range(backbone.depth):
        block, layer = f"block_{i}", f"encoder.layer.{i}"
        rules |= {
            **_norm(f"{block}/norm_1", f"{layer}.norm1"),
            **_vit_attention(block, layer),
            f"{block}/scale_1": Rule(f"{layer}.layer_scale1.lambda1"),
            **_norm(f"{block}/norm_2", f"{layer}.norm2"),
            **_dense(f"{block}/mlp/hidden", f"{layer}.mlp.fc1"),
            **_dense(f"{block}/mlp/out", f"{layer}.mlp.fc2"),
            f"{block}/scale_2": Rule(f"{layer}.layer_scale2.lambda1"),
        }
    return Layout(backbone, rules, r"layernorm\..+|classifier\..+|embeddings\.mask_token")


def _vit(config: ModelConfig) -> Layout:
    backbone = _sized_vit(config)
    rules = _vit_embeddings()
    for i in range(backbone.depth):
        block, layer = f"block_{i}", f"encoder.layer.{i}"
        rules |= {
            **_norm(f"{block}/norm_1", f"{layer}.layernorm_before"),
            **_vit_attention(block, layer),
            **_norm(f"{block}/norm_2", f"{layer}.layernorm_after"),
            **_dense(f"{block}/mlp/hidden", f"{layer}.intermediate.dense"),
            **_dense(f"{block}/mlp/out", f"{layer}.output.dense"),
        }
    unused = r"layernorm\..+|pooler\..+|classifier\..+|decoder\..+|embeddings\.mask_token"
    return Layout(backbone, rules, unused)


def _bert(config: ModelConfig) -> Layout:
    backbone = BERT(
        vocabulary_size=config.count("vocab_size"),
        width=config.count("hidden_size"),
        depth=config.count("num_hidden_layers"),
        heads=config.heads(),
        mlp_width=config.mlp_width(),
        max_length=config.count("max_position_embeddings"),
        padding_id=config.padding(),
        epsilon=config.epsilon(),
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
    heads = r"pooler\..+|cls\..+|classifier\..+|qa_outputs\..+"
    return Layout(backbone, rules, rf"{heads}|embeddings\.(position|token_type)_ids")


LAYOUTS: Mapping[str, Callable[[ModelConfig], Layout]] = {"dinov2": _dinov2, "vit": _vit, "bert": _bert}
"""Layouts by ``model_type``."""


def _sized_vit(config: ModelConfig) -> ViT:
    patch, rows, columns = config.grid()
    return ViT(
        patch_size=patch,
        width=config.count("hidden_size"),
        depth=config.count("num_hidden_layers"),
        heads=config.heads(),
        mlp_width=config.mlp_width(),
        grid=(rows, columns),
        epsilon=config.epsilon(),
    )


def _vit_embeddings() -> Rules:
    return {
        "class_token": Rule("embeddings.cls_token", lambda array: array[0]),
        "positions": Rule("embeddings.position_embeddings", lambda array: array[0]),
        "patches/kernel": Rule(
            "embeddings.patch_embeddings.projection.weight",
            lambda array: array.transpose(2, 3, 1, 0).reshape(-1, len(array)),
        ),
        "patches/bias": Rule("embeddings.patch_embeddings.projection.bias"),
    }


def _vit_attention(block: str, layer: str) -> Rules:
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
