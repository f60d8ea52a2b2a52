"""Intermediate results of a head with attention, from which every attribution is computed."""

from typing import NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from flax.core import meta
from numpy.typing import NDArray
from scipy.special import softmax

from laya_jax.heads import (
    Head,
    check_hidden_states,
    check_parameters,
    hidden_widths,
    promote,
)
from laya_jax.typing import Array, HiddenStates, Parameters


class Explanation(NamedTuple):
    """Scores and votes of L layers for N samples and K classes, from which every attribution is computed.

    Mix and classifier are linear, ``logits = bias + sum_i attention_i votes_i``, and masking a layer changes
    only attention, so the backbone never has to run again. With G attention heads, each on its own slice of
    the width, the sum also runs over heads; with one head, the axis may be omitted.

    Attributes:
      scores: Scores of the layers divided by the temperature, [N, L] or [N, L, G]; attention is their
        softmax.
      votes: Logits of each layer alone without bias, ``z_i @ kernel``, [N, L, K] or [N, L, G, K].
      norms: Euclidean norm of each ``z_i``, [N, L].
      bias: Bias of the classifier, [K].
    """

    scores: NDArray | Array
    votes: NDArray | Array
    norms: NDArray | Array
    bias: NDArray | Array

    @property
    def by_head(self) -> tuple[NDArray, NDArray]:
        """Scores [N, L, G] and votes [N, L, G, K]."""
        scores, votes = np.asarray(self.scores), np.asarray(self.votes)
        return (scores, votes) if scores.ndim == 3 else (scores[..., None], votes[:, :, None])

    @property
    def head_attention(self) -> NDArray:
        """Weight of each layer in each attention head, [N, L, G]."""
        return softmax(self.by_head[0].astype(np.float64), axis=1)

    @property
    def attention(self) -> NDArray:
        """Weight of each layer, averaged over attention heads, [N, L]."""
        return self.head_attention.mean(axis=2)

    @property
    def contributions(self) -> NDArray:
        """Contribution of each layer to each logit, ``attention_i votes_i``, [N, L, K]."""
        return np.einsum("nlg,nlgk->nlk", self.head_attention, self.by_head[1])

    @property
    def logits(self) -> NDArray:
        """Logits [N, K]."""
        return self.logits_with(self.head_attention)

    @property
    def lens(self) -> NDArray:
        """Logits of each layer alone, ``z_i @ kernel + bias``, [N, L, K]."""
        return self.by_head[1].astype(np.float64).sum(axis=2) + np.asarray(self.bias)

    def logits_with(self, attention: NDArray) -> NDArray:
        """Computes the logits [N, K] with another attention, [N, L] for all attention heads or [N, L, G]."""
        attention = attention[..., None] if attention.ndim == 2 else attention
        votes = self.by_head[1].astype(np.float64)
        weights = np.broadcast_to(attention, votes.shape[:3])
        return np.asarray(self.bias) + np.einsum("nlg,nlgk->nk", weights, votes)

    def masked(self, mask: NDArray | Array) -> NDArray:
        """Computes the logits [N, K] with a mask, [L] or [N, L], that is True for each layer to keep."""
        scores = np.where(np.asarray(mask)[..., None], self.by_head[0].astype(np.float64), -np.inf)
        largest = scores.max(axis=1, keepdims=True)
        weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
        total = weights.sum(axis=1, keepdims=True)
        return self.logits_with(weights / np.where(total == 0, 1, total))

    def take(self, rows: NDArray | slice) -> "Explanation":
        """Selects the explanation of some of the samples."""
        return Explanation(self.scores[rows], self.votes[rows], self.norms[rows], self.bias)


class HasSettings(Protocol):
    """Head of another module system that holds the Linen head of the same settings, as NNX heads do."""

    @property
    def settings(self) -> Head:
        """Linen head that defines the computation."""


def explain(head: Head | HasSettings, parameters: Parameters, hidden_states: HiddenStates) -> Explanation:
    """Extracts from a head everything that attributions are computed from. It can be jit-compiled.

    Args:
      head: ``LayaHead`` or ``ScalarMixHead``, of Linen or NNX.
      parameters: Parameters of the head, ``variables["params"]``.
      hidden_states: Hidden states, as for the head.

    Returns:
      An ``Explanation`` in float32.

    Raises:
      TypeError: The head has no attention over layers.
      ValueError: The head has a layer mask (leave the masked layers out of the hidden states instead), or the
        parameters do not fit the head and the hidden states.

    >>> import jax
    >>> from laya_jax.heads import LayaHead
    >>> head, hidden_states = LayaHead(num_classes=3, dim=4), [jnp.ones((2, 5)), jnp.ones((2, 6))]
    >>> output, variables = head.init_with_output(jax.random.key(0), hidden_states)
    >>> explanation = explain(head, variables["params"], hidden_states)
    >>> bool(np.allclose(explanation.logits, output.logits, atol=1e-6))
    True
    """
    head = head if isinstance(head, Head) else getattr(head, "settings", head)
    if not isinstance(head, Head) or not head.weighs_layers:
        raise TypeError(
            f"head is a {type(head).__module__}.{type(head).__name__}, expected a head with attention over "
            "layers: LayaHead, ScalarMixHead or KernelHead"
        )
    if head.layer_mask is not None:
        raise ValueError(f"head.layer_mask is {head.layer_mask}, expected None")
    hidden_states, parameters = check_hidden_states(hidden_states), meta.unbox(dict(parameters))
    widths = hidden_widths(hidden_states)
    check_parameters(parameters, head.shapes(widths), f"{len(widths)} hidden states of widths {widths}")
    parameters, hidden_states = promote(parameters, hidden_states, head.dtype)
    return Explanation(*(part.astype(jnp.float32) for part in head.votes(parameters, hidden_states)))
