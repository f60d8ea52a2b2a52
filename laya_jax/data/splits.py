"""Division of examples into training, validation and test splits."""

import heapq
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig

T = TypeVar("T")

VERSION = 2
"""Version of the reading and splitting of data. Since 2, shuffled splits are stratified by class."""


class Splits(NamedTuple, Generic[T]):
    """Values for each split, such as the rows of its examples."""

    train: T
    validation: T
    test: T


def split_rows(
    labels: NDArray, config: DataConfig, *, has_test: bool, has_validation: bool = False
) -> Splits[NDArray]:
    """Assigns the rows of a source to splits, as a function of only the labels and the config.

    Shuffled splits are stratified: every split has every class in proportion, and the training split has each
    at least once. With "last", the last examples are held out without stratification.

    Args:
      labels: Class of each example to split, [N].
      config: Fractions, kind of split and split seed.
      has_test: True if the source has its own test split, so that none of these examples is used for it.
      has_validation: True if the source has its own validation split.

    Raises:
      ValueError: There are too few examples.

    >>> splits = split_rows(np.arange(100) % 2, DataConfig(), has_test=False)
    >>> [len(rows) for rows in splits], [int(sum(rows % 2)) for rows in splits]
    ([81, 9, 10], [41, 4, 5])
    """
    rows, generator = np.arange(len(labels)), None
    if config.split == "shuffled":
        generator = np.random.default_rng(config.split_seed)
        rows = generator.permutation(len(labels))
    test = validation = rows[:0]
    if not has_test:
        later = 0 if has_validation else 1
        rows, test = _cut(rows, labels, config.test_fraction, generator, least=1 + later)
    if not has_validation:
        rows, validation = _cut(rows, labels, config.validation_fraction, generator, least=1)
    wanted = (True, not has_validation, not has_test)
    if not all(len(each) for each, needed in zip((rows, validation, test), wanted, strict=True) if needed):
        raise ValueError(
            f"data.source has {len(labels):,} examples of {len(np.unique(labels)):,} classes to split, "
            "expected enough for all splits"
        )
    return Splits(*(np.sort(each) for each in (rows, validation, test)))


def held_out(number: int, fraction: float) -> int:
    """Computes the number of held-out examples for a fraction, at least one.

    >>> held_out(100, 0.1), held_out(3, 0.1)
    (10, 1)
    """
    return max(1, round(number * fraction))


def _cut(
    rows: NDArray, labels: NDArray, fraction: float, generator: np.random.Generator | None, least: int
) -> tuple[NDArray, NDArray]:
    """Divides rows into kept and held-out ones: the last rows, or with a generator a stratified sample."""
    number = held_out(len(rows), fraction)
    if generator is None:
        return rows[: len(rows) - number], rows[len(rows) - number :]
    _, classes, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    # Random order of classes, so that ties in rounding do not always disadvantage the same classes.
    turns = generator.permutation(len(counts))
    parts = np.empty_like(counts)
    parts[turns] = _parts(counts[turns], number, least)
    order = np.argsort(classes, kind="stable")
    starts = np.cumsum(counts) - counts
    place = np.empty_like(classes)
    place[order] = np.arange(len(rows)) - starts[classes[order]]
    is_held_out = place < parts[classes]
    return rows[~is_held_out], rows[is_held_out]


def _parts(counts: NDArray, number: int, least: int) -> NDArray:
    """Computes the number of examples to hold out of each class, ``number`` in total, by largest remainder.

    Every class that can spare an example contributes one first, starting with the largest. At least ``least``
    examples of each class are kept, or one if the class has no more than ``least``.
    """
    spare = np.maximum(counts - least, np.minimum(counts - 1, 1))
    shares = counts * (number / max(1, counts.sum()))
    parts = np.zeros_like(counts)
    queue = [(False, -share, index) for index, share in enumerate(shares) if spare[index]]
    heapq.heapify(queue)
    for _ in range(min(number, int(spare.sum()))):
        index = heapq.heappop(queue)[-1]
        parts[index] += 1
        if parts[index] < spare[index]:
            heapq.heappush(queue, (True, parts[index] - shares[index], index))
    return parts
