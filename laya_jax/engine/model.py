"""Construction of classifiers from configs."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from laya_jax.backbones import BACKBONES
from laya_jax.classifier import Classifier
from laya_jax.data import Preprocessing, Schema
from laya_jax.engine.config import Config
from laya_jax.engine.heads import make_head
from laya_jax.typing import Array, Parameters


def make_classifier(config: Config, schema: Schema, backbone: nn.Module | None = None) -> Classifier:
    """Builds the classifier that a config describes.

    Args:
      config: Configuration of the run.
      schema: Schema of the data.
      backbone: Pretrained backbone, or a module that passes on cached hidden states; None builds the
        config's backbone.

    Raises:
      ValueError: The backbone does not accept such data.

    >>> from laya_jax.engine import HeadConfig
    >>> schema = Schema(("no", "yes"), Preprocessing("features", (4,)), None)
    >>> classifier = make_classifier(Config(head=HeadConfig(kind="concat", dim=8)), schema)
    >>> classifier.head.num_classes, classifier.backbone.widths
    (2, (512, 256, 128))
    """
    check_reads(config, schema)
    dtype = None if config.dtype == "float32" else jnp.dtype(config.dtype)
    if backbone is None:
        given = {"vocabulary_size": schema.encoder.size} if schema.encoder else {}
        backbone = BACKBONES[config.backbone.kind].make(config.backbone, dtype=dtype, **given)
    return Classifier(
        backbone=backbone,
        head=make_head(config.head.kind, config.head, num_classes=len(schema.class_names), dtype=dtype),
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
    if inputs not in (*BACKBONES[kind].reads, "hidden_states"):
        able = " or ".join(repr(kind) for kind, row in BACKBONES.items() if inputs in row.reads)
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
