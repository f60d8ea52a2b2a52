"""CIFAR-10 with the paper's separable CNN of three stages.

The paper states neither the widths, nor how the later stages halve the resolution, nor the batch size, nor
where in its range the learning rate lies. Widths and batch size are the best on validation after six epochs
(``python -m experiments.pilots``), where batches of 32 have done four times as many steps as the 128 of
Fashion-MNIST in the same time. The learning rate is the paper's highest and falls to zero along a cosine over
12 epochs, to keep a run short; the paper trains for at most 50.
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


def _pilot(*widths: int, batch_size: int = 128) -> Config:
    return dataclasses.replace(
        BASE,
        backbone=BackboneConfig(kind="separable_cnn", widths=widths),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        batch_size=batch_size,
        epochs=6,
    )


PILOTS = {
    "64-128-256": _pilot(64, 128, 256),
    "32-64-128": _pilot(32, 64, 128),
    "32-128-256": _pilot(32, 128, 256),
    "batch-64": _pilot(64, 128, 256, batch_size=64),
    "batch-32": _pilot(64, 128, 256, batch_size=32),
}
"""Widths, and then batch sizes, to compare on the validation split."""


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
