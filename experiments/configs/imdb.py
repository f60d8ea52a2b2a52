"""IMDB with the paper's two stacked bidirectional LSTMs.

The paper does not state the widths, the sequence length or the learning rate. With LSTMs of width 32 and an
embedding of width 64, a run takes minutes on one core, and validation accuracy is about 0.88 for either end
of a review and for all learning rates tried (``python -m experiments.pilots``). The best pilot was chosen,
which reads the last 256 words at learning rate 5e-4; longer reviews are truncated to save time.
"""

import dataclasses
from typing import Literal

from laya_jax.training import EXPERIMENTS, Config, HeadConfig, OptimizerConfig

BASE = EXPERIMENTS["imdb"]

GRID = {
    "dim": (64, 96),
    "temperature": (0.7, 1.0, 1.3),
    "psi": ("identity", "mlp"),
    "scorer_width": (1, 2),
}
"""Grid for LAYA from the paper; scorer_width is in units of dim."""


def _pilot(keep: Literal["start", "end"], learning_rate: float, epochs: int) -> Config:
    return dataclasses.replace(
        BASE,
        data=dataclasses.replace(BASE.data, keep=keep),
        optimizer=OptimizerConfig(learning_rate=learning_rate),
        epochs=epochs,
    )


PILOTS = {
    "start-fast": _pilot("start", 1e-3, epochs=5),
    "start-slow": _pilot("start", 3e-4, epochs=7),
    "end": _pilot("end", 5e-4, epochs=4),
}
"""Configs compared on the validation split, in this order: learning rates, and the end of a review read."""


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
