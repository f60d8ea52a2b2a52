"""Shapley values of layers: the mean marginal contribution of each over all orders of the layers."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution.explanation import Explanation
from laya_jax.attribution.subsets import all_masks, in_parts, logits_of_masks
from laya_jax.checks import check_count
from laya_jax.heads import EXACT, attend
from laya_jax.typing import Array

EXHAUSTIVE = 14
"""Largest number of layers for which the values are exact; beyond it, orders are sampled."""


class ShapleyValues(NamedTuple):
    """Mean marginal contribution of each layer over all orders of the layers.

    Attributes:
      values: Shapley values [N, L, K], which sum over layers to the logits minus the bias; [N, L] for one
        class per sample.
      errors: Standard errors of the values; None if they are exact.
    """

    values: NDArray
    errors: NDArray | None


def shapley_values(explanation: Explanation, *, orders: int = 64, seed: int = 0) -> ShapleyValues:
    """Computes the Shapley values of the layers for each logit.

    ``phi_i = sum_S |S|! (L - |S| - 1)! / L! (logits(S + i) - logits(S))`` over the sets S without layer i.
    It is the only attribution that sums to the logits and treats interchangeable layers alike.

    Args:
      explanation: Explanation of N samples.
      orders: Number of pairs of an order and its reverse to sample with more than 14 layers, at least 2.
      seed: Random seed of the orders.

    Returns:
      Shapley values, exact for up to 14 layers.

    Reference: Shapley 1953; pairs as in Mitchell et al. 2022, Sampling permutations for Shapley values.

    >>> votes = np.array([[[2.0], [4.0]]])
    >>> shapley_values(Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(1))).values[0, :, 0]
    array([0.5, 2.5], dtype=float32)
    """
    layers = explanation.scores.shape[1]
    if layers <= EXHAUSTIVE:
        parts = in_parts(_exact_shapley, explanation, all_masks(layers), _shapley_weights(layers))
        return ShapleyValues(np.concatenate(parts), None)
    check_count("orders", orders, least=2)  # a single pair has no standard error
    generator = np.random.default_rng(seed)
    drawn = np.stack([generator.permutation(layers) for _ in range(orders)])
    parts = in_parts(_sampled_shapley, explanation, drawn)
    values, errors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ShapleyValues(values, errors)


def shapley_of_class(
    explanation: Explanation, classes: NDArray, *, orders: int = 64, seed: int = 0
) -> ShapleyValues:
    """Computes the Shapley values of one class per sample, minus their mean over classes as in ``of_class``.

    The standard errors are those of the difference, which cannot be derived from those of the logits.

    Args:
      explanation: Explanation of N samples.
      classes: Class of each sample, [N].
      orders: Number of pairs of orders, as for ``shapley_values``.
      seed: Random seed of the orders.

    Returns:
      Shapley values [N, L].

    >>> votes = np.array([[[2.0, 0.0], [4.0, 0.0]]])
    >>> explanation = Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(2))
    >>> shapley_of_class(explanation, np.array([0])).values
    array([[0.25, 1.25]], dtype=float32)
    """
    scores, votes = explanation.by_head
    chosen = np.take_along_axis(votes, classes[:, None, None, None], axis=3)
    one = Explanation(scores, chosen - votes.mean(axis=3, keepdims=True), explanation.norms, np.zeros(1))
    values, errors = shapley_values(one, orders=orders, seed=seed)
    return ShapleyValues(values[..., 0], None if errors is None else errors[..., 0])


def _shapley_weights(layers: int) -> NDArray:
    """Computes the weight of each set's logits in each layer's value, [2^L, L]."""
    masks = all_masks(layers)
    of_size = np.array(
        [math.factorial(s) * math.factorial(layers - s - 1) / math.factorial(layers) for s in range(layers)]
    )
    size = masks.sum(axis=1)[:, None]
    return np.where(masks, of_size[np.maximum(size - 1, 0)], -of_size[np.minimum(size, layers - 1)])


@jax.jit
def _exact_shapley(scores: Array, votes: Array, bias: Array, masks: Array, weights: Array) -> Array:
    # Votes do not depend on the set, so the sum over sets can be taken over attention alone.
    attention = jax.vmap(lambda mask: attend(scores, layer_mask=mask))(masks)
    shares = jnp.einsum("mi,mnlg->nilg", weights, attention, precision=EXACT)
    return jnp.einsum("nilg,nlgk->nik", shares, votes, precision=EXACT)


@jax.jit
def _sampled_shapley(scores: Array, votes: Array, bias: Array, orders: Array) -> tuple[Array, Array]:
    layers = scores.shape[1]

    def gains(order: Array) -> Array:
        place = jnp.argsort(order)
        masks = place[None] < jnp.arange(layers + 1)[:, None]
        steps = jnp.diff(logits_of_masks(scores, votes, bias, masks), axis=0)
        return jnp.moveaxis(steps[place], 0, 1)

    def add(sums: tuple[Array, Array], order: Array) -> tuple[tuple[Array, Array], None]:
        pair = (gains(order) + gains(order[::-1])) / 2
        return (sums[0] + pair, sums[1] + pair**2), None

    zeros = jnp.zeros((*scores.shape[:2], votes.shape[-1]), votes.dtype)
    (total, squares), _ = jax.lax.scan(add, (zeros, zeros), orders)
    number = len(orders)
    mean = total / number
    variance = jnp.maximum(squares / number - mean**2, 0) / max(1, number - 1)
    return mean, jnp.sqrt(variance)
