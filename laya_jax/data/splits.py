"""Which examples are trained on, and which are held out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig

SHOWN = 5
"""Classes that an error names."""


class Splits(NamedTuple):
    """An array for each split, such as the rows of its examples."""

    train: NDArray
    validation: NDArray
    test: NDArray


def split_rows(number: int, config: DataConfig, *, has_test: bool) -> Splits:
    """Rows of a source's examples in each split: a function of their number and the config alone.

    Args:
      number: of examples that are not set apart for testing by the source.
      config: its fractions, split and split seed.
      has_test: whether the source has a test split of its own; none of the others are then tested on.

    Raises:
      ValueError: too few examples.

    >>> [len(rows) for rows in split_rows(100, DataConfig(), has_test=False)]
    [81, 9, 10]
    """
    rows = np.arange(number)
    if config.split == "shuffled":
        rows = np.random.default_rng(config.split_seed).permutation(number)
    rows, test = (rows, rows[:0]) if has_test else _cut(rows, config.test_fraction)
    train, validation = _cut(rows, config.validation_fraction)
    if not len(train):
        raise ValueError(f"data.source has {number} examples, expected enough for all splits")
    return Splits(train, validation, test)


def check_trained(labels: NDArray, held_out: NDArray, class_names: Sequence[str]) -> None:
    """Raises if a class of the last examples is not among those to train on, as of data ordered by class."""
    missing = [class_names[label] for label in np.setdiff1d(held_out, labels)]
    if missing:
        names = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN} more" if missing[SHOWN:] else "")
        raise ValueError(
            f"data.split is 'last', which holds out all examples of {names}, expected 'shuffled' for data "
            "that are ordered by class: --data.split shuffled"
        )


def _cut(rows: NDArray, fraction: float) -> tuple[NDArray, NDArray]:
    cut = len(rows) - max(1, round(len(rows) * fraction))
    return np.sort(rows[:cut]), np.sort(rows[cut:])
