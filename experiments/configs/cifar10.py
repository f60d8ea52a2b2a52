"""CIFAR-10 with the paper's separable CNN of three stages.

The paper does not state the stages' widths or the learning rate: they are chosen on the validation split.
"""

import dataclasses

from laya_jax.training import EXPERIMENTS, BackboneConfig, Config, HeadConfig, OptimizerConfig

BASE = EXPERIMENTS["cifar10"]

GRID = {
    "dim": (128, 192, 256),
    "temperature": (0.5, 1.0, 1.5),
    "psi": ("identity", "mlp"),
    "scorer_width": (1, 2),
}
"""The paper's grid for LAYA; scorer_width is in units of dim."""


def _pilot(widths: tuple[int, ...], learning_rate: float, epochs: int) -> Config:
    return dataclasses.replace(
        EXPERIMENTS["cifar10"],
        backbone=BackboneConfig(kind="separable_cnn", widths=widths),
        optimizer=OptimizerConfig(learning_rate=learning_rate),
        epochs=epochs,
    )


PILOTS = {
    "16-64-256": _pilot((16, 64, 256), 1e-3, epochs=10),
    "32-128-512": _pilot((32, 128, 512), 1e-3, epochs=8),
    "16-96-384": _pilot((16, 96, 384), 1e-3, epochs=10),
    "16-96-384-fast": _pilot((16, 96, 384), 3e-3, epochs=10),
}
"""Widths and learning rates that were compared on the validation split, in this order."""


def last_layer() -> Config:
    """The usual output layer.

    python -m experiments.table1 --datasets cifar10 --heads last_layer

    Not measured yet.
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="last_layer"))


def concat() -> Config:
    """All layers side by side.

    python -m experiments.table1 --datasets cifar10 --heads concat

    Not measured yet.
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="concat", dim=128))


def scalar_mix() -> Config:
    """One weight per layer.

    python -m experiments.table1 --datasets cifar10 --heads scalar_mix

    Not measured yet.
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="scalar_mix", dim=128))


def laya() -> Config:
    """Attention over layers, with the paper's best setting (Table 2).

    python -m experiments.table1 --datasets cifar10 --heads laya

    Not measured yet.
    """
    return BASE
