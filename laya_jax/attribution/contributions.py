"""Contributions of layers to one class relative to the others."""

import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution.explanation import Explanation


def of_class(values: NDArray, classes: NDArray) -> NDArray:
    """Selects values [N, L, K] of one class per sample and subtracts their mean over classes, giving [N, L].

    A softmax ignores what is added to all logits alike.

    >>> of_class(np.array([[[3.0, 1.0]]]), np.array([0]))
    array([[1.]])
    """
    values = np.asarray(values, np.float64)
    return np.take_along_axis(values, classes[:, None, None], axis=2)[..., 0] - values.mean(axis=2)


def margins(
    explanation: Explanation, winners: NDArray | None = None, losers: NDArray | None = None
) -> NDArray:
    """Computes each layer's contribution to the margin of one class over another.

    Args:
      explanation: Explanation of N samples.
      winners: First class of each sample, [N]; None means the predicted classes.
      losers: Second class of each sample, [N]; None means the class with the highest logit besides the first.

    Returns:
      Contributions [N, L], which together with the difference of the biases sum to the difference of the
      logits.

    >>> votes = np.array([[[2.0, 0.0], [0.0, 1.0]]])
    >>> margins(Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(2)))
    array([[ 1. , -0.5]])
    """
    logits, contributions = explanation.logits, explanation.contributions
    rows = np.arange(len(logits))
    winners = np.argmax(logits, axis=1) if winners is None else winners
    if losers is None:
        others = logits.copy()
        others[rows, winners] = -np.inf
        losers = np.argmax(others, axis=1)
    return contributions[rows, :, winners] - contributions[rows, :, losers]
