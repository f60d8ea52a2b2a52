"""CIFAR-10 with the paper's separable CNN of three stages.

The paper does not state the widths, the downsampling method of the later stages, the batch size, or the exact
learning rate within its range. Widths and batch size are each the best of three on validation after six
epochs (``python -m experiments.pilots``); smaller batches take more steps in the same time. The learning rate
is the highest in the paper's range. It warms up over 1,000 steps, because without warm-up LAYA's attention
collapsed onto the first layer within an epoch for one of five seeds, as the pilots show. It then decays to
zero along a cosine over 12 epochs, to keep runs short; the paper trains for at most 50.
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
"""Grid for LAYA from the paper; scorer_width is in units of dim."""


def _pilot(*widths: int, batch_size: int = 128) -> Config:
    return dataclasses.replace(
        BASE,
        backbone=BackboneConfig(kind="separable_cnn", widths=widths),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        batch_size=batch_size,
        epochs=6,
    )


def _longer_pilot(seed: int, warmup_steps: int = 0) -> Config:
    optimizer = OptimizerConfig(learning_rate=1e-3, schedule="cosine", warmup_steps=warmup_steps)
    return dataclasses.replace(BASE, optimizer=optimizer, batch_size=32, epochs=12, seed=seed)


PILOTS = {
    "64-128-256": _pilot(64, 128, 256),
    "32-64-128": _pilot(32, 64, 128),
    "32-128-256": _pilot(32, 128, 256),
    "batch-64": _pilot(64, 128, 256, batch_size=64),
    "batch-32": _pilot(64, 128, 256, batch_size=32),
    **{f"batch-32-seed{seed}": _longer_pilot(seed) for seed in range(5)},
    "batch-32-warm-up-seed4": _longer_pilot(4, warmup_steps=1000),
}
"""Configs compared on the validation split: widths, batch sizes, and training with or without warm-up."""


def last_layer() -> Config:
    """The usual output layer.

    python -m experiments.table1 --datasets cifar10 --heads last_layer
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="last_layer"))


def concat() -> Config:
    """All layers side by side.

    python -m experiments.table1 --datasets cifar10 --heads concat
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="concat", dim=128))


def scalar_mix() -> Config:
    """One weight per layer.

    python -m experiments.table1 --datasets cifar10 --heads scalar_mix
    """
    return dataclasses.replace(BASE, head=HeadConfig(kind="scalar_mix", dim=128))


def laya() -> Config:
    """Attention over layers, with the paper's best setting (Table 2).

    python -m experiments.table1 --datasets cifar10 --heads laya
    """
    return BASE
