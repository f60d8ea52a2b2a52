"""What a head that weighs layers computed, in the form from which every attribution is made."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from laya_jax.checks import check_hidden_states
from laya_jax.functional import read_layers
from laya_jax.heads import Head, LayaHead, ScalarMixHead, promote
from laya_jax.layer_attention import attend
from laya_jax.typing import Array, HiddenStates, Parameters


class Explanation(NamedTuple):
    """What each of L layers says of N samples in K classes, and how much it is listened to.

    Mix and classifier are linear: ``logits = bias + sum_i attention_i votes_i``, and a masked layer changes
    the attention alone. No backbone has to run again to attribute.

    Attributes:
      scores: of the layers, divided by the temperature: attention is their softmax, [N, L].
      votes: logits without bias that a layer would give alone, ``z_i @ kernel``, [N, L, K].
      norms: Euclidean length of ``z_i``, [N, L].
      bias: of the classifier, [K].
    """

    scores: NDArray | Array
    votes: NDArray | Array
    norms: NDArray | Array
    bias: NDArray | Array

    @property
    def attention(self) -> NDArray:
        """Weight of each layer, [N, L]."""
        return softmax(np.asarray(self.scores, np.float64), axis=1)

    @property
    def contributions(self) -> NDArray:
        """What each layer adds to each logit, ``attention_i votes_i``, [N, L, K]."""
        return self.attention[:, :, None] * np.asarray(self.votes)

    @property
    def logits(self) -> NDArray:
        """The logits, [N, K]."""
        return self.logits_with(self.attention)

    @property
    def lens(self) -> NDArray:
        """The logits that each layer would give alone, ``z_i @ kernel + bias``, [N, L, K]."""
        return np.asarray(self.votes, np.float64) + np.asarray(self.bias)

    def logits_with(self, attention: NDArray) -> NDArray:
        """The logits with another attention [N, L], [N, K]."""
        votes = np.asarray(self.votes, np.float64)
        return np.asarray(self.bias) + np.einsum("nl,nlk->nk", attention, votes)

    def masked(self, mask: NDArray | Array) -> NDArray:
        """The logits with some of each sample's layers only, True where one is kept, [N, L]."""
        return self.logits_with(np.asarray(attend(jnp.asarray(self.scores), layer_mask=mask), np.float64))

    def take(self, rows: NDArray | slice) -> "Explanation":
        """The explanation of some of the samples."""
        return Explanation(self.scores[rows], self.votes[rows], self.norms[rows], self.bias)


def explain(head: Head, parameters: Parameters, hidden_states: HiddenStates) -> Explanation:
    """Reads from a head all that attributions are made of. It can be compiled.

    Args:
      head: a ``LayaHead`` or ``ScalarMixHead``, the Linen module.
      parameters: of the head, ``variables["params"]``.
      hidden_states: as the head takes them.

    Returns:
      An ``Explanation``, in float32 or better.

    Raises:
      TypeError: a head that does not weigh layers.
      ValueError: a head with a layer mask; leave the masked layers out of the hidden states instead.

    >>> import jax
    >>> head, hidden_states = LayaHead(num_classes=3, dim=4), [jnp.ones((2, 5)), jnp.ones((2, 6))]
    >>> output, variables = head.init_with_output(jax.random.key(0), hidden_states)
    >>> explanation = explain(head, variables["params"], hidden_states)
    >>> bool(np.allclose(explanation.logits, output.logits, atol=1e-6))
    True
    """
    if not isinstance(head, LayaHead | ScalarMixHead):
        raise TypeError(
            f"head is a {type(head).__name__}, expected a LayaHead or ScalarMixHead: no other weighs layers"
        )
    if head.layer_mask is not None:
        raise ValueError(f"head.layer_mask is {head.layer_mask}, expected None")
    parameters, hidden_states = promote(parameters, check_hidden_states(hidden_states), head.dtype)
    temperature = head.temperature if isinstance(head, LayaHead) else 1.0
    scores, z = read_layers(parameters, hidden_states, rms_normalized=head.rms_normalized)
    classifier = parameters["classifier"]
    return Explanation(
        scores.astype(jnp.float32) / temperature,
        (z @ classifier["kernel"]).astype(jnp.float32),
        jnp.linalg.norm(z.astype(jnp.float32), axis=-1),
        classifier["bias"].astype(jnp.float32),
    )
