"""Construction of classifiers from configs."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from laya_jax.backbones import MLP, BiLSTM, SeparableCNN
from laya_jax.classifier import Classifier
from laya_jax.data import Preprocessing, Schema
from laya_jax.engine.config import BackboneConfig, Config, HeadConfig
from laya_jax.heads import ConcatHead, Head, LastLayerHead, LayaHead, ScalarMixHead
from laya_jax.typing import Array, Parameters

READS = {
    "mlp": ("images", "features"),
    "separable_cnn": ("images",),
    "bilstm": ("tokens",),
    "vit": ("images",),
    "bert": ("tokens",),
}
"""Kinds of input that each kind of backbone accepts."""


def make_classifier(config: Config, schema: Schema, backbone: nn.Module | None = None) -> Classifier:
    """Builds the classifier that a config describes.

    Args:
      config: Configuration of the run.
      schema: Schema of the data.
      backbone: Pretrained backbone, or a module that passes on cached hidden states; None builds the
        config's backbone.

    Raises:
      ValueError: The backbone does not accept such data.

    >>> schema = Schema(("no", "yes"), Preprocessing("features", (4,)), None)
    >>> classifier = make_classifier(Config(head=HeadConfig(kind="concat", dim=8)), schema)
    >>> classifier.head.num_classes, classifier.backbone.widths
    (2, (512, 256, 128))
    """
    check_reads(config, schema)
    dtype = None if config.dtype == "float32" else jnp.dtype(config.dtype)
    return Classifier(
        backbone=_backbone(config.backbone, schema, dtype) if backbone is None else backbone,
        head=_head(config.head, len(schema.class_names), dtype),
        freeze_backbone=config.backbone.freeze,
    )


def check_reads(config: Config, schema: Schema) -> None:
    """Checks that a config's backbone accepts data of this schema.

    >>> check_reads(Config(), Schema(("no", "yes"), Preprocessing("tokens", (4,)), None))
    Traceback (most recent call last):
      ...
    ValueError: backbone.kind is 'mlp', which does not read tokens; expected 'bilstm' or 'bert'
    """
    inputs, kind = schema.preprocessing.kind, config.backbone.kind
    if inputs not in (*READS[kind], "hidden_states"):
        able = " or ".join(repr(kind) for kind, readable in READS.items() if inputs in readable)
        raise ValueError(f"backbone.kind is {kind!r}, which does not read {inputs}; expected {able}")


def initial_parameters(
    classifier: Classifier,
    preprocessing: Preprocessing,
    seed: int | Array,
    pretrained: Parameters | None = None,
) -> Parameters:
    """Initialises the parameters of a run.

    Args:
      classifier: Classifier to initialise.
      preprocessing: Preprocessing from stored inputs to model inputs.
      seed: Random seed of the run.
      pretrained: Parameters of a pretrained backbone; None for random initialisation.
    """
    stored = jnp.zeros((1, *preprocessing.shape), jnp.int32)
    drawn = classifier.init(jax.random.key(seed), preprocessing(stored))["params"]
    return {**drawn, "backbone": pretrained} if pretrained else drawn


def _backbone(config: BackboneConfig, schema: Schema, dtype: Any) -> nn.Module:
    if config.kind == "mlp":
        return MLP(widths=config.widths, dtype=dtype)
    if config.kind == "separable_cnn":
        return SeparableCNN(widths=config.widths, dtype=dtype)
    return BiLSTM(schema.text_encoder().size, config.embedding_dim, config.widths, dtype=dtype)


def _head(config: HeadConfig, num_classes: int, dtype: Any) -> Head:
    every: dict[str, Any] = {
        "num_classes": num_classes,
        "layer_normalized": config.layer_normalized,
        "dtype": dtype,
    }
    if config.kind == "last_layer":
        return LastLayerHead(**every)
    shared: dict[str, Any] = {
        **every,
        "dim": config.dim,
        "rms_normalized": config.rms_normalized,
        "dropout": config.dropout,
        "layer_dropout": config.layer_dropout,
    }
    if config.kind == "concat":
        return ConcatHead(**shared)
    if config.kind == "scalar_mix":
        return ScalarMixHead(**shared)
    return LayaHead(
        **shared,
        temperature=config.temperature,
        psi=config.psi,
        scorer_width=config.scorer_width,
        attention_heads=config.attention_heads,
        uniform_start=config.uniform_start,
    )
