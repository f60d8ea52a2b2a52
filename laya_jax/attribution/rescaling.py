"""How far attention is free to change while decisions stay: nothing fixes the scale of an adapter."""

from typing import NamedTuple

import numpy as np

from laya_jax.attribution.explanation import Explanation


class Rescaling(NamedTuple):
    """What happens when an adapter is scaled by 2 or 1/2 in such a way that decisions hardly change.

    Attributes:
      same_decisions: share of the predictions that stay, mean over layers and both scales.
      same_top_layer: share of the samples whose layer of most attention stays.
      attention_change: mean total variation of attention, ``sum |change| / 2``, from 0 to 1.
    """

    same_decisions: float
    same_top_layer: float
    attention_change: float


def rescaled(explanation: Explanation, layer: int, scale: float) -> Explanation:
    """The same head with one adapter scaled, its scale undone in the scorer, and its score shifted.

    ``z_i -> scale z_i`` and ``s_i -> s_i - log(scale)`` leave ``alpha_i z_i`` as it was but for what all
    layers share, so that hardly any decision changes.

    Args:
      explanation: of a head whose scorer reads ``z`` (psi is the identity) and does not normalise it.
      layer: which one.
      scale: above 0.
    """
    scores, votes, norms = (np.array(array, np.float64) for array in explanation[:3])
    scores[:, layer] -= np.log(scale)
    votes[:, layer] *= scale
    norms[:, layer] *= scale
    return Explanation(scores, votes, norms, explanation.bias)


def rescaling(explanation: Explanation) -> Rescaling:
    """How much attention can change while the decisions hardly do.

    >>> votes = np.array([[[2.0, 0.0], [0.0, 1.0]]])
    >>> found = rescaling(Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(2)))
    >>> found.same_decisions, found.same_top_layer
    (1.0, 0.5)
    """
    attention, before = explanation.attention, np.argmax(explanation.logits, axis=1)
    top, found = np.argmax(attention, axis=1), []
    for layer in range(attention.shape[1]):
        for scale in (0.5, 2.0):
            other = rescaled(explanation, layer, scale)
            changed = other.attention
            found.append(
                (
                    np.mean(np.argmax(other.logits, axis=1) == before),
                    np.mean(np.argmax(changed, axis=1) == top),
                    np.abs(changed - attention).sum(axis=1).mean() / 2,
                )
            )
    return Rescaling(*(float(value) for value in np.mean(found, axis=0)))
