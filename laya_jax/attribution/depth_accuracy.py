"""Accuracy over depth: predictions of a trained head from one layer, or from the first layers, alone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution.explanation import Explanation


class DepthAccuracy(NamedTuple):
    """Accuracy of a trained head that reads only a part of the layers; it is not trained again.

    Attributes:
      alone: Accuracy from each layer alone, [L].
      first: Accuracy from the first l layers, l = 1 ... L, with the attention to the others set to 0, [L].
    """

    alone: NDArray
    first: NDArray


def accuracy_over_depth(explanation: Explanation, labels: NDArray) -> DepthAccuracy:
    """Computes the accuracy from each layer alone and from the first layers.

    Args:
      explanation: Explanation of N samples.
      labels: True classes, [N].

    >>> votes = np.array([[[1.0, 0.0], [0.0, 3.0]]])
    >>> explanation = Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(2))
    >>> accuracy_over_depth(explanation, np.array([0]))
    DepthAccuracy(alone=array([1., 0.]), first=array([1., 0.]))
    """
    layers = explanation.scores.shape[1]
    alone = [_accuracy(explanation, mask, labels) for mask in np.eye(layers, dtype=bool)]
    first = [_accuracy(explanation, mask, labels) for mask in np.tri(layers, dtype=bool)]
    return DepthAccuracy(np.array(alone), np.array(first))


def _accuracy(explanation: Explanation, mask: NDArray, labels: NDArray) -> float:
    return float(np.mean(np.argmax(explanation.masked(mask), axis=1) == labels))
