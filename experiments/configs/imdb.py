"""IMDB with the paper's two stacked bidirectional LSTMs.

The paper states neither widths nor sequence length: they are chosen on the validation split.
"""

import dataclasses

from laya_jax.training import EXPERIMENTS, Config, HeadConfig

BASE = EXPERIMENTS["imdb"]

GRID = {
    "dim": (64, 96),
    "temperature": (0.7, 1.0, 1.3),
    "psi": ("identity", "mlp"),
    "scorer_width": (1, 2),
}
"""The paper's grid for LAYA; scorer_width is in units of dim."""


def last_layer() -> Config:
    """The usual output layer.

    python -m experiments.table1 --datasets imdb --heads last_layer
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="last_layer"))


def concat() -> Config:
    """All layers side by side.

    python -m experiments.table1 --datasets imdb --heads concat
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="concat", dim=96))


def scalar_mix() -> Config:
    """One weight per layer.

    python -m experiments.table1 --datasets imdb --heads scalar_mix
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="scalar_mix", dim=96))


def laya() -> Config:
    """Attention over layers, with the paper's best setting (Table 2).

    python -m experiments.table1 --datasets imdb --heads laya
    """
    return BASE
