"""Settings that ``experiments.frozen`` tries for each head on frozen backbones.

Every head has six settings, for an equal tuning budget; a single-layer head has the same six on every layer.
The tables mark chosen learning rates that were the highest or lowest of those tried.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from laya_jax.training import HeadConfig

LABELS = ("10", "50", "all")
"""Numbers of labelled training examples per class."""

EPOCHS = {"paintings": 40, "imdb": 10}
"""Number of epochs, by data set."""

FEWEST_STEPS = 10
"""Minimum number of steps per epoch; with few training examples, an epoch passes over them several times."""

RATES = (3e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3)
LEFT_OUT = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.15))
"""Pairs of dropout rate and layer dropout rate."""

NORMALIZED = HeadConfig(layer_normalized=True)
REMEDIED = HeadConfig(layer_normalized=True, uniform_start=True, attention_heads=24)


class Setting(NamedTuple):
    """Setting of a head and its training.

    Attributes:
      head: Config of the head.
      rate: Learning rate.
      layer: Index of the only layer that the head reads; None for all layers.
    """

    head: HeadConfig
    rate: float
    layer: int | None = None


def _rates(head: HeadConfig) -> list[Setting]:
    return [Setting(head, rate) for rate in RATES]


def _regularized(head: HeadConfig) -> list[Setting]:
    return [
        Setting(dataclasses.replace(head, dropout=dropout, layer_dropout=layer_dropout), rate)
        for dropout, layer_dropout in LEFT_OUT
        for rate in (1e-3, 2e-3)
    ]


def on_one_layer(layer: int | None = None) -> list[Setting]:
    """Returns the settings of a standard output layer on one hidden layer, or on the last if None."""
    return [
        Setting(HeadConfig(kind="last_layer", layer_normalized=normalized), rate, layer)
        for normalized in (False, True)
        for rate in (5e-3, 2e-2, 8e-2)
    ]


RECOMMENDED = "laya, recommended (and dropout)"
SINGLE, ORACLE = "best single layer", "best single layer, by the test split"

CANDIDATES: Mapping[str, list[Setting]] = {
    "last layer": on_one_layer(),
    "concat": _regularized(dataclasses.replace(NORMALIZED, kind="concat")),
    "scalar mix": _regularized(dataclasses.replace(NORMALIZED, kind="scalar_mix")),
    "laya, as in the paper": _rates(HeadConfig()),
    "laya, normalised z": _rates(HeadConfig(rms_normalized=True)),
    "laya, normalised layers": _rates(NORMALIZED),
    "laya, normalised layers, uniform start": _rates(dataclasses.replace(NORMALIZED, uniform_start=True)),
    "laya, normalised layers, uniform start, 24 attention heads": _rates(REMEDIED),
    RECOMMENDED: _regularized(REMEDIED),
}
"""Settings of each head; those of single-layer heads come from ``on_one_layer``."""

SHORT = ("last layer", "concat", "scalar mix", "laya, as in the paper", "laya, normalised z")
