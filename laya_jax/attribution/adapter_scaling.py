"""Changes of attention that leave predictions alone: nothing fixes the scale of an adapter."""

from typing import NamedTuple

import numpy as np

from laya_jax.attribution.explanation import Explanation


class Rescaling(NamedTuple):
    """Effect of scaling an adapter by 2 or 1/2 such that predictions hardly change.

    Attributes:
      same_decisions: Fraction of unchanged predictions, averaged over layers and both scales.
      same_top_layer: Fraction of the samples whose top-attention layer is unchanged.
      attention_change: Mean total variation of attention, ``sum |change| / 2``, from 0 to 1.
    """

    same_decisions: float
    same_top_layer: float
    attention_change: float


def rescaled(explanation: Explanation, layer: int, scale: float) -> Explanation:
    """Scales one adapter, undoes the scale in the scorer, and shifts the layer's score.

    ``z_i -> scale z_i`` and ``s_i -> s_i - log(scale)`` preserve every ``alpha_i z_i`` up to a factor that
    all layers share, so that hardly any prediction changes.

    Args:
      explanation: Explanation of a head whose scorer reads ``z`` itself (psi is the identity) without
        normalising it.
      layer: Index of the layer.
      scale: Scale, greater than 0.
    """
    scores, votes, norms = (np.array(array, np.float64) for array in explanation[:3])
    scores[:, layer] -= np.log(scale)
    votes[:, layer] *= scale
    norms[:, layer] *= scale
    return Explanation(scores, votes, norms, explanation.bias)


def rescaling(explanation: Explanation) -> Rescaling:
    """Measures how much attention can change while predictions hardly do.

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
