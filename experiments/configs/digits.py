"""scikit-learn's bundled digits with a small MLP: not an experiment of the paper, but it runs in seconds."""

import dataclasses

from laya_jax.training import EXPERIMENTS, Config, HeadConfig

BASE = EXPERIMENTS["digits"]

GRID = {
    "dim": (16, 32),
    "temperature": (1.0, 1.5),
    "psi": ("identity",),
    "scorer_width": (1,),
}
"""Small grid for LAYA; scorer_width is in units of dim."""


def last_layer() -> Config:
    """The usual output layer.

    python -m experiments.table1 --datasets digits --heads last_layer
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="last_layer"))


def concat() -> Config:
    """All layers side by side.

    python -m experiments.table1 --datasets digits --heads concat
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="concat", dim=32))


def scalar_mix() -> Config:
    """One weight per layer.

    python -m experiments.table1 --datasets digits --heads scalar_mix
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="scalar_mix", dim=32))


def laya() -> Config:
    """Attention over layers.

    python -m experiments.table1 --datasets digits --heads laya
    """
    return BASE
