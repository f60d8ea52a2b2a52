"""Metrics of predictions: pure functions of arrays, in float64 on the host."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

COLLAPSE = 1.1
"""Effective depth below which attention counts as collapsed: one layer then has 98 % of it."""


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Metrics of the predictions of a data split.

    Attributes:
      examples: Number of examples.
      loss: Mean cross-entropy, in nats.
      accuracy: Fraction of correctly classified examples.
      macro_f1: F1 score, averaged over classes.
      calibration_error: Expected calibration error over 15 bins of confidence.
      effective_depth: Effective number of layers, ``exp(entropy(mean attention))``; None for a head without
        attention.
      attention: Mean attention to each layer; None for a head without attention.
    """

    examples: int
    loss: float
    accuracy: float
    macro_f1: float
    calibration_error: float
    effective_depth: float | None
    attention: list[float] | None


def measure(logits: NDArray, attention: NDArray | None, labels: NDArray) -> Metrics:
    """Computes all metrics.

    Args:
      logits: Logits [N, K].
      attention: Attention [N, L], or None.
      labels: Labels [N].

    >>> metrics = measure(
    ...     np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 0])
    ... )
    >>> metrics.accuracy, metrics.effective_depth
    (0.5, 1.0)
    """
    logits = np.asarray(logits, np.float64)
    mean_attention = None if attention is None else np.mean(np.asarray(attention, np.float64), axis=0)
    predicted = np.argmax(logits, axis=1)
    probabilities = softmax(logits)
    return Metrics(
        examples=len(labels),
        loss=cross_entropy(logits, labels),
        accuracy=float(np.mean(predicted == labels)),
        macro_f1=macro_f1(predicted, labels, logits.shape[1]),
        calibration_error=calibration_error(probabilities, labels),
        effective_depth=None if mean_attention is None else effective_depth(mean_attention),
        attention=None if mean_attention is None else mean_attention.tolist(),
    )


def softmax(logits: NDArray) -> NDArray:
    """Computes probabilities [N, K].

    >>> softmax(np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def cross_entropy(logits: NDArray, labels: NDArray) -> float:
    """Computes the mean of ``-log softmax(logits)[label]``.

    >>> round(cross_entropy(np.array([[0.0, 0.0]]), np.array([1])), 4)
    0.6931
    """
    largest = logits.max(axis=1)
    normaliser = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return float(np.mean(normaliser - logits[np.arange(len(labels)), labels]))


def macro_f1(predicted: NDArray, labels: NDArray, num_classes: int) -> float:
    """Computes the mean of ``2 correct / (predicted + labelled)`` over classes among labels or predictions.

    >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), num_classes=3)
    0.6666666666666666
    """
    right = np.bincount(labels[predicted == labels], minlength=num_classes)
    either = np.bincount(predicted, minlength=num_classes) + np.bincount(labels, minlength=num_classes)
    occurs = either > 0
    return float(np.mean(2 * right[occurs] / either[occurs]))


def calibration_error(probabilities: NDArray, labels: NDArray, bins: int = 15) -> float:
    """Computes the expected calibration error: ``|accuracy - confidence|`` averaged over equal-width bins.

    Reference: Guo et al. 2017, On calibration of modern neural networks.

    >>> calibration_error(np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))
    0.25
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def effective_depth(mean_attention: NDArray) -> float:
    """Computes ``exp(H(alpha))`` of the mean attention [L]: 1 if all on one layer, L if uniform.

    >>> round(effective_depth(np.array([0.5, 0.5, 0.0])), 6)
    2.0
    """
    positive = mean_attention[mean_attention > 0]
    return float(np.exp(-np.sum(positive * np.log(positive))))
