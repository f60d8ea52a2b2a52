"""Shapley values of layers: what each one adds, on average over the orders in which layers can come."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution import subsets
from laya_jax.attribution.explanation import Explanation
from laya_jax.attribution.subsets import all_masks, in_parts, logits_of_masks
from laya_jax.checks import check_count
from laya_jax.layer_attention import EXACT
from laya_jax.typing import Array


class ShapleyValues(NamedTuple):
    """What each layer adds to each logit, on average over the orders in which layers can come.

    Attributes:
      values: [N, L, K]; they sum over the layers to the logits without bias.
      errors: standard error of each, [N, L, K]; None where they are exact.
    """

    values: NDArray
    errors: NDArray | None


def shapley_values(explanation: Explanation, *, orders: int = 64, seed: int = 0) -> ShapleyValues:
    """Shapley values of the layers, for each logit.

    ``phi_i = sum_S |S|! (L - |S| - 1)! / L! (logits(S + i) - logits(S))`` over the sets S without layer i.
    The only shares that sum to the logits and treat layers alike that act alike.

    Args:
      explanation: of N samples.
      orders: how many pairs of an order and its reverse are drawn where there are more than 12 layers, 2 or
        more.
      seed: of the orders.

    Returns:
      ``ShapleyValues``, exact for at most 12 layers.

    Reference: Shapley 1953; pairs as in Mitchell et al. 2022, Sampling permutations for Shapley values.

    >>> votes = np.array([[[2.0], [4.0]]])
    >>> shapley_values(Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(1))).values[0, :, 0]
    array([0.5, 2.5], dtype=float32)
    """
    layers = explanation.scores.shape[1]
    if layers <= subsets.EXHAUSTIVE:
        parts = in_parts(_exact_shapley, explanation, all_masks(layers), _shapley_weights(layers))
        return ShapleyValues(np.concatenate(parts), None)
    check_count("orders", orders, least=2)  # of one, no error can be estimated
    generator = np.random.default_rng(seed)
    drawn = np.stack([generator.permutation(layers) for _ in range(orders)])
    parts = in_parts(_sampled_shapley, explanation, drawn)
    values, errors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ShapleyValues(values, errors)


def _shapley_weights(layers: int) -> NDArray:
    """What the logits of each set count for each layer's value, [2^L, L]."""
    masks = all_masks(layers)
    of_size = np.array(
        [math.factorial(s) * math.factorial(layers - s - 1) / math.factorial(layers) for s in range(layers)]
    )
    size = masks.sum(axis=1)[:, None]
    return np.where(masks, of_size[np.maximum(size - 1, 0)], -of_size[np.minimum(size, layers - 1)])


@jax.jit
def _exact_shapley(scores: Array, votes: Array, bias: Array, masks: Array, weights: Array) -> Array:
    logits = logits_of_masks(scores, votes, bias, masks)
    return jnp.einsum("ml,mnk->nlk", weights, logits, precision=EXACT)


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
