"""Targets of a kernel head: classes, several labels per example, or numbers; and the fit of predictions."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from laya_jax.typing import ArrayLike

SHARPEST = 7.0
"""Bound on the natural logarithm of the inverse temperature, in either direction."""


class Judgement(NamedTuple):
    """Fit of predictions to targets.

    Attributes:
      loss: Mean log loss of calibrated probabilities, in nats; for regression, the mean squared error.
      score: Accuracy, averaged over labels; for regression, the fraction of variance explained.
      temperature: Divisor that calibrates the outputs; 1 for regression.
    """

    loss: float
    score: float
    temperature: float


class Targets(Protocol):
    """Targets of N examples.

    Attributes:
      values: Values to regress on, [N, K].
    """

    @property
    def values(self) -> NDArray[np.float64]: ...  # noqa: D102

    def judge(self, outputs: NDArray) -> Judgement:
        """Compares outputs [N, K] with the targets."""
        ...


@dataclasses.dataclass(frozen=True)
class Classes:
    """One class per example.

    >>> Classes(np.array([1, 0]), 2).values.tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    labels: NDArray[np.integer]
    number: int

    @property
    def values(self) -> NDArray[np.float64]:
        """One-hot vectors, [N, K]."""
        return np.eye(self.number)[self.labels]

    def judge(self, outputs: NDArray) -> Judgement:
        """Compares outputs with the classes."""
        rows = np.arange(len(self.labels))
        accuracy = float(np.mean(np.argmax(outputs, axis=1) == self.labels))
        return _calibrate(
            lambda factor: -np.mean(log_softmax(factor * outputs, axis=1)[rows, self.labels]), accuracy
        )


@dataclasses.dataclass(frozen=True)
class Labels:
    """Any number of labels per example, regressed on as -1 and 1.

    >>> Labels(np.array([[True, False]])).values.tolist()
    [[1.0, -1.0]]
    """

    present: NDArray[np.bool_]

    @property
    def values(self) -> NDArray[np.float64]:
        """1 for a label that is present and -1 for one that is not, [N, K]."""
        return np.where(self.present, 1.0, -1.0)

    def judge(self, outputs: NDArray) -> Judgement:
        """Compares outputs with the labels."""
        accuracy = float(np.mean((outputs > 0) == self.present))
        return _calibrate(lambda factor: -np.mean(log_expit(factor * outputs * self.values)), accuracy)


@dataclasses.dataclass(frozen=True)
class Numbers:
    """One or more numbers per example, [N, K].

    >>> Numbers(np.array([[1.0], [3.0]])).judge(np.array([[1.0], [2.0]]))
    Judgement(loss=0.5, score=0.5, temperature=1.0)
    """

    values: NDArray[np.float64]

    def judge(self, outputs: NDArray) -> Judgement:
        """Compares outputs with the numbers."""
        loss = float(np.mean((self.values - outputs) ** 2))
        variance = float(np.mean((self.values - self.values.mean(axis=0)) ** 2))
        return Judgement(loss, 1 - loss / variance if variance else float("nan"), 1.0)


def targets_of(name: str, targets: ArrayLike, number: int, num_classes: int | None = None) -> Targets:
    """Checks targets, and infers their kind from their dtype.

    Args:
      name: Name of the argument, for errors.
      targets: Integers [N] for classes; booleans [N, K] for labels; floating point [N] or [N, K] for numbers.
      number: Number of examples, N.
      num_classes: Number of classes; None means one more than the largest label.

    Raises:
      TypeError: The targets have an unsupported dtype, or ``num_classes`` is given for other than classes.
      ValueError: The targets have the wrong shape, are out of range or are not finite.

    >>> targets_of("targets", [0, 3], 2, num_classes=3)
    Traceback (most recent call last):
      ...
    ValueError: targets include 3, expected classes from 0 to 2
    """
    array = np.asarray(targets)
    if len(array.shape) not in (1, 2) or len(array) != number:
        raise ValueError(f"{name} has shape {array.shape}, expected one row for each of {number} examples")
    if array.dtype.kind in "iu":
        return _classes(name, array, num_classes)
    if num_classes is not None:
        raise TypeError(f"num_classes is {num_classes} for {name} of {array.dtype}, expected None")
    columns = array.reshape(number, -1)
    if array.dtype == bool:
        return Labels(columns)
    if array.dtype.kind != "f":
        raise TypeError(f"{name} has dtype {array.dtype}, expected integers, booleans or floating point")
    if not np.isfinite(columns).all():
        raise ValueError(f"{name} has values that are not finite")
    return Numbers(columns.astype(np.float64))


def _classes(name: str, labels: NDArray, num_classes: int | None) -> Classes:
    if labels.ndim != 1:
        raise ValueError(f"{name} has shape {labels.shape} of integers, expected one class per example")
    count = int(labels.max()) + 1 if num_classes is None else num_classes
    if labels.min() < 0 or labels.max() >= count:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"{name} include {wrong}, expected classes from 0 to {count - 1}")
    return Classes(labels, count)


def _calibrate(loss: Callable[[float], float], score: float) -> Judgement:
    """Finds the factor on the outputs that minimises the loss, which is convex in the factor."""
    found = minimize_scalar(lambda log: loss(np.exp(log)), bounds=(-SHARPEST, SHARPEST), method="bounded")
    return Judgement(float(found.fun), score, float(np.exp(-found.x)))
