"""Contributions of layers to one class relative to the others, and to all classes together."""

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


def contribution_shares(explanation: Explanation) -> NDArray:
    """Computes each layer's share of the contributions, ``|c_i| / sum_j |c_j|``, giving [N, L].

    ``c_i`` are the contributions of layer i to the K logits minus their mean over classes, which a softmax
    ignores. Unlike attention, the share counts what a layer says and not only its weight.

    Args:
      explanation: Explanation of N samples.

    Returns:
      Shares that sum to 1 over layers; 1 / L each for a sample to which no layer contributes.

    >>> votes = np.array([[[6.0, 0.0], [0.0, 2.0], [5.0, 5.0]]])
    >>> contribution_shares(Explanation(np.zeros((1, 3)), votes, np.ones((1, 3)), np.zeros(2))).round(2)
    array([[0.75, 0.25, 0.  ]])
    """
    values = np.asarray(explanation.contributions, np.float64)
    norms = np.linalg.norm(values - values.mean(axis=2, keepdims=True), axis=2)
    total = norms.sum(axis=1, keepdims=True)
    return np.where(total > 0, norms / np.where(total > 0, total, 1), 1 / norms.shape[1])


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
