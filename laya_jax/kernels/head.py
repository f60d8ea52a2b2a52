"""Kernel head: a sum of unique contributions, one per layer."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from laya_jax.heads import EXACT, HeadOutput, check_hidden_states, check_layer_masks
from laya_jax.kernels.similarity import KERNELS, kernel_parts
from laya_jax.kernels.standardizing import Standardization
from laya_jax.typing import Array, Float, HiddenStates, LayerMaskLike


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["standardization", "points", "coefficients", "bias"],
    meta_fields=["kernel"],
)
@dataclasses.dataclass(frozen=True)
class KernelLayaHead:
    """Head solved in closed form by ``fit_kernel_head``, with unique layer contributions.

    ``logits = bias + sum_i c_i(x)`` with ``c_i(x) = sum_n a_n K_i(x, x_n)``, where x are the standardised
    states of all layers, ``x_n`` are the points of the head, and ``K = sum_i K_i`` is its kernel. The ``c_i``
    minimise a strictly convex loss, so they are the same however they are solved for. Attention is their
    relative length, ``alpha_i = |c_i| / sum_j |c_j|``.

    A head is a pytree and a pure function of hidden states, for use with jit, vmap and grad.

    Attributes:
      standardization: Standardisation of hidden states by the moments of training examples.
      points: Standardised states of stored training examples, or weights of the layers if the kernel is
        linear, L arrays [M, d_i].
      coefficients: Coefficient of every point for every class, [M, K].
      bias: Bias, [K].
      kernel: Name of the kernel: "gated", "additive" or "linear".
    """

    standardization: Standardization
    points: tuple[Array, ...]
    coefficients: Array
    bias: Array
    kernel: str

    def __call__(self, hidden_states: HiddenStates, layer_mask: LayerMaskLike | None = None) -> HeadOutput:
        """Predicts from the hidden states.

        Needs memory for 2 L arrays [B, M]; ``predict_in_blocks`` bounds it.

        Args:
          hidden_states: Ordered sequence of L arrays [B, d_i], or one array [L, B, D].
          layer_mask: True for each layer that may be used, [L] or [B, L]. A masked layer contributes nothing,
            and the attention to the others is renormalised, as in every head; a gate still reads all layers.

        Returns:
          A ``HeadOutput``; its aggregate is the sum of the contributions.

        Raises:
          TypeError: The hidden states are not ordered floating-point arrays, or the mask is not boolean.
          ValueError: The hidden states differ from those of training in number or width, or the mask has the
            wrong shape or leaves a sample without a layer.
        """
        hidden_states = check_hidden_states(hidden_states)
        batch, layers = hidden_states[0].shape[0], len(hidden_states)
        mask = check_layer_masks(None, layer_mask, batch, layers)
        contributions = self.contributions(hidden_states)
        kept = None if mask is None else jnp.broadcast_to(mask, (batch, layers))
        attention = shares(contributions, kept)
        if kept is not None:
            contributions = attention[..., None] * votes_of(contributions)
        total = jnp.sum(contributions, axis=1)
        return HeadOutput(total + self.bias[None], attention, contributions, total)

    def contributions(self, hidden_states: HiddenStates) -> Float[Array, "batch layer classes"]:
        """Computes the contribution of each layer to each logit, [B, L, K], without a mask."""
        parts = kernel_parts(self.kernel, self.standardization(hidden_states), self.points)
        return jnp.stack([jnp.matmul(part, self.coefficients, precision=EXACT) for part in parts], axis=1)

    @property
    def stored_examples(self) -> int:
        """Number of training examples whose hidden states are stored in the head."""
        return 0 if KERNELS[self.kernel].linear else len(self.coefficients)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden states, in order."""
        return tuple(point.shape[-1] for point in self.points)


def shares(
    contributions: Float[Array, "batch layer classes"], kept: Array | None = None
) -> Float[Array, "batch layer"]:
    """Computes the relative length of each layer's contribution; all are equal if all contributions are zero.

    >>> shares(jnp.array([[[3.0, 4.0], [0.0, 15.0]]]))
    Array([[0.25, 0.75]], dtype=float32)
    """
    squares = jnp.sum(jnp.square(contributions), axis=2)
    # The square root has no derivative at zero.
    lengths = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
    lengths = lengths if kept is None else jnp.where(kept, lengths, 0)
    equal = jnp.ones_like(lengths) if kept is None else kept.astype(lengths.dtype)
    weights = jnp.where(jnp.any(lengths > 0, axis=1, keepdims=True), lengths, equal)
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def votes_of(contributions: Float[Array, "batch layer classes"]) -> Float[Array, "batch layer classes"]:
    """Divides contributions by the shares of their layers, which gives all votes of an example equal length.

    >>> votes_of(jnp.array([[[3.0, 4.0], [0.0, 15.0]]]))
    Array([[[12., 16.],
            [ 0., 20.]]], dtype=float32)
    """
    attention = shares(contributions)[..., None]
    return jnp.where(attention > 0, contributions / jnp.where(attention > 0, attention, 1), 0)


def predict_in_blocks(head: KernelLayaHead, hidden_states: HiddenStates, block: int = 256) -> HeadOutput:
    """Predicts many examples on the host, one block at a time, so memory does not grow with their number.

    Args:
      head: Fitted head.
      hidden_states: Ordered sequence of L arrays [N, d_i], or one array [L, N, D].
      block: Number of examples per block.

    Returns:
      A ``HeadOutput`` of NumPy arrays.
    """
    number = len(hidden_states[0])
    whole = max(-(-number // block), 1) * block if number > block else number
    outputs = []
    for row in range(0, whole, block):
        rows = [np.asarray(state[row : row + block]) for state in hidden_states]
        missing = min(block, whole) - len(rows[0])  # one shape for all blocks avoids compiling another
        padded = [np.pad(state, ((0, missing), (0, 0))) for state in rows] if missing else rows
        output = jax.device_get(_apply(head, padded))
        outputs.append(output)
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:number], *outputs)


@jax.jit
def _apply(head: KernelLayaHead, hidden_states: list[Array]) -> HeadOutput:
    return head(hidden_states)
