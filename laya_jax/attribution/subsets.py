"""Predictions from some of the layers; Shapley values of layers; which layers are enough.

A masked layer gets no attention and the rest is renormalised, as the heads' ``layer_mask`` does. Nothing but
attention changes, so that all 2^L sets of layers of many samples are one compiled program.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution.explanation import Explanation
from laya_jax.layer_attention import attend
from laya_jax.typing import Array

EXHAUSTIVE = 12
"""Number of layers up to which every set of them is tried; above, sets are sampled."""

LARGEST = 2**24
"""Numbers that a program may hold at once; samples are taken in as few parts as that allows."""


class ShapleyValues(NamedTuple):
    """What each layer adds to each logit, on average over the orders in which layers can come.

    Attributes:
      values: [N, L, K]; they sum over the layers to the logits without bias.
      errors: standard error of each, [N, L, K]; None where they are exact.
    """

    values: NDArray
    errors: NDArray | None


class Curve(NamedTuple):
    """Probability of the predicted class with k layers left out, or with k layers alone, k = 1 ... L - 1.

    Attributes:
      without: k layers of most attention left out, mean over the samples, [L - 1].
      only: nothing but them, [L - 1].
    """

    without: NDArray
    only: NDArray


class LayerCurves(NamedTuple):
    """How fast a prediction falls without its layers of most attention, and is there with them alone.

    Attributes:
      full: mean probability of the predicted class with all layers.
      attention: layers in order of attention.
      random: mean over all sets of k layers.
      best: for each sample the k layers without which the probability is lowest, with which it is highest.
    """

    full: float
    attention: Curve
    random: Curve
    best: Curve

    @property
    def comprehensiveness(self) -> float:
        """Area between ``full`` and the curve without the layers of most attention; more is better."""
        return float(np.mean(self.full - self.attention.without)) if self.attention.without.size else 0.0

    @property
    def sufficiency(self) -> float:
        """Area between ``full`` and the curve with those layers only; less is better."""
        return float(np.mean(self.full - self.attention.only)) if self.attention.only.size else 0.0

    @property
    def comprehensiveness_score(self) -> float | None:
        """Comprehensiveness, a random order as 0 and the best sets of layers as 1; None if they are alike."""
        return _relative(self.attention.without, self.random.without, self.best.without)

    @property
    def sufficiency_score(self) -> float | None:
        """The same of sufficiency."""
        return _relative(self.attention.only, self.random.only, self.best.only)


def masked_logits(explanation: Explanation, masks: NDArray) -> NDArray:
    """The logits that are left with some of the layers only.

    Args:
      explanation: of N samples.
      masks: True where a layer is kept, [M, L]; with no layer, the bias is left.

    Returns:
      [M, N, K].

    >>> alone = Explanation(np.zeros((1, 2)), np.array([[[2.0], [4.0]]]), np.ones((1, 2)), np.ones(1))
    >>> masked_logits(alone, np.array([[True, True], [True, False], [False, False]]))[:, 0, 0]
    array([4., 3., 1.], dtype=float32)
    """
    return np.concatenate(_in_parts(_masked_logits, explanation, np.asarray(masks)), axis=1)


def shapley_values(explanation: Explanation, *, orders: int = 64, seed: int = 0) -> ShapleyValues:
    """Shapley values of the layers, for each logit.

    ``phi_i = sum_S |S|! (L - |S| - 1)! / L! (logits(S + i) - logits(S))`` over the sets S without layer i.
    The only shares that sum to the logits and treat layers alike that act alike.

    Args:
      explanation: of N samples.
      orders: how many pairs of an order and its reverse are drawn where there are more than 12 layers.
      seed: of the orders.

    Returns:
      ``ShapleyValues``, exact for at most 12 layers.

    Reference: Shapley 1953; pairs as in Mitchell et al. 2022, Sampling permutations for Shapley values.

    >>> votes = np.array([[[2.0], [4.0]]])
    >>> shapley_values(Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(1))).values[0, :, 0]
    array([0.5, 2.5], dtype=float32)
    """
    layers = explanation.scores.shape[1]
    if layers <= EXHAUSTIVE:
        parts = _in_parts(_exact_shapley, explanation, all_masks(layers), _shapley_weights(layers))
        return ShapleyValues(np.concatenate(parts), None)
    generator = np.random.default_rng(seed)
    drawn = np.stack([generator.permutation(layers) for _ in range(orders)])
    parts = _in_parts(_sampled_shapley, explanation, drawn)
    values, errors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ShapleyValues(values, errors)


def layer_curves(explanation: Explanation, *, orders: int = 64, seed: int = 0) -> LayerCurves:
    """How fast a prediction falls without its layers of most attention, and is there with them alone.

    With more than 12 layers, random sets are sampled and the best ones found greedily.

    Args:
      explanation: of N samples.
      orders: how many random orders are drawn where there are more than 12 layers.
      seed: of the orders.

    Reference: DeYoung et al. 2020, ERASER, section 4.2, layers in place of words.

    >>> votes = np.array([[[2.0, 0.0], [0.0, 1.0]]])
    >>> curves = layer_curves(Explanation(np.array([[1.0, 0.0]]), votes, np.ones((1, 2)), np.zeros(2)))
    >>> curves.comprehensiveness_score, curves.sufficiency_score
    (1.0, 1.0)
    """
    layers = explanation.scores.shape[1]
    ranked = np.argsort(-explanation.attention, axis=1, kind="stable")
    attention = _order_curve(explanation, ranked)
    if layers <= EXHAUSTIVE:
        masks = all_masks(layers)
        parts = _in_parts(_by_size, explanation, masks, masks.sum(axis=1))
        mean, least, most = (np.concatenate(arrays).mean(axis=0) for arrays in zip(*parts, strict=True))
        random, best = _curve(mean, mean), _curve(least, most)
    else:
        generator = np.random.default_rng(seed)
        draws = (np.argsort(generator.random(ranked.shape), axis=1) for _ in range(orders))
        curves = [_order_curve(explanation, draw) for draw in draws]
        random = Curve(*(np.mean(arrays, axis=0) for arrays in zip(*curves, strict=True)))
        best = _greedy(explanation)
    full = _probabilities(explanation, np.ones(ranked.shape, bool))
    return LayerCurves(float(full.mean()), attention, random, best)


def all_masks(layers: int) -> NDArray:
    """Every set of layers, [2^L, L]; the first is empty, the last is whole.

    >>> all_masks(2)
    array([[False, False],
           [ True, False],
           [False,  True],
           [ True,  True]])
    """
    return (np.arange(2**layers)[:, None] >> np.arange(layers)) % 2 == 1


def _relative(curve: NDArray, random: NDArray, best: NDArray) -> float | None:
    distance = float(np.sum(best - random))
    return float(np.sum(curve - random)) / distance if abs(distance) > 1e-6 else None


def _shapley_weights(layers: int) -> NDArray:
    """What the logits of each set count for each layer's value, [2^L, L]."""
    masks = all_masks(layers)
    of_size = np.array(
        [math.factorial(s) * math.factorial(layers - s - 1) / math.factorial(layers) for s in range(layers)]
    )
    size = masks.sum(axis=1)[:, None]
    return np.where(masks, of_size[np.maximum(size - 1, 0)], -of_size[np.minimum(size, layers - 1)])


def _in_parts(function: Callable[..., Any], explanation: Explanation, masks: NDArray, *more: NDArray) -> list:
    """What a compiled function makes of the samples, as many at a time as memory allows."""
    number, layers, classes = explanation.votes.shape
    at_once = max(1, LARGEST // (max(1, len(masks)) * max(layers, classes)))
    at_once = min(at_once, number)
    results = []
    for part in _parts(explanation, number, at_once):
        result = function(*part, masks, *more)
        results.append(jax.tree.map(np.asarray, result))
    return results


def _parts(explanation: Explanation, number: int, at_once: int) -> Iterator[tuple[Any, ...]]:
    for start in range(0, number, at_once):
        part = explanation.take(slice(start, start + at_once))
        yield np.float32(part.scores), np.float32(part.votes), np.float32(part.bias)


def _logits(scores: Array, votes: Array, bias: Array, mask: Array) -> Array:
    """Logits [n, K] with one mask, [L] or [n, L]."""
    return bias[None] + jnp.einsum("nl,nlk->nk", attend(scores, layer_mask=mask), votes)


@jax.jit
def _masked_logits(scores: Array, votes: Array, bias: Array, masks: Array) -> Array:
    return jax.vmap(partial(_logits, scores, votes, bias))(masks)


@jax.jit
def _exact_shapley(scores: Array, votes: Array, bias: Array, masks: Array, weights: Array) -> Array:
    return jnp.einsum("ml,mnk->nlk", weights, _masked_logits(scores, votes, bias, masks))


@jax.jit
def _sampled_shapley(scores: Array, votes: Array, bias: Array, orders: Array) -> tuple[Array, Array]:
    layers = scores.shape[1]

    def gains(order: Array) -> Array:
        place = jnp.argsort(order)
        masks = place[None] < jnp.arange(layers + 1)[:, None]
        steps = jnp.diff(_masked_logits(scores, votes, bias, masks), axis=0)
        return jnp.moveaxis(steps[place], 0, 1)

    def add(sums: tuple[Array, Array], order: Array) -> tuple[tuple[Array, Array], None]:
        pair = (gains(order) + gains(order[::-1])) / 2
        return (sums[0] + pair, sums[1] + pair**2), None

    zeros = jnp.zeros(votes.shape, votes.dtype)
    (total, squares), _ = jax.lax.scan(add, (zeros, zeros), orders)
    number = len(orders)
    mean = total / number
    variance = jnp.maximum(squares / number - mean**2, 0) / max(1, number - 1)
    return mean, jnp.sqrt(variance)


@partial(jax.jit, static_argnames="layers")
def _size_statistics(probabilities: Array, sizes: Array, layers: int) -> tuple[Array, Array, Array]:
    of_size = sizes[None] == jnp.arange(layers + 1)[:, None]
    mean = of_size @ probabilities / jnp.sum(of_size, axis=1)[:, None]
    least = [jnp.min(probabilities, axis=0, where=of[:, None], initial=jnp.inf) for of in of_size]
    most = [jnp.max(probabilities, axis=0, where=of[:, None], initial=-jnp.inf) for of in of_size]
    return mean.T, jnp.stack(least, axis=1), jnp.stack(most, axis=1)


@jax.jit
def _by_size(
    scores: Array, votes: Array, bias: Array, masks: Array, sizes: Array
) -> tuple[Array, Array, Array]:
    """Mean, least and most probability of the predicted class over the sets of each size, [n, L + 1] each."""
    logits = _masked_logits(scores, votes, bias, masks)
    predicted = jnp.argmax(_logits(scores, votes, bias, jnp.ones(scores.shape, bool)), axis=1)
    probabilities = jnp.take_along_axis(jax.nn.softmax(logits), predicted[None, :, None], axis=2)[..., 0]
    return _size_statistics(probabilities, sizes, scores.shape[1])


@jax.jit
def _predicted_probability(scores: Array, votes: Array, bias: Array, mask: Array) -> Array:
    predicted = jnp.argmax(_logits(scores, votes, bias, jnp.ones(scores.shape, bool)), axis=1)
    probabilities = jax.nn.softmax(_logits(scores, votes, bias, mask))
    return jnp.take_along_axis(probabilities, predicted[:, None], axis=1)[:, 0]


def _probabilities(explanation: Explanation, mask: NDArray) -> NDArray:
    """Probability of the class that all layers predict, with the layers of a mask [N, L] only."""
    scores, votes, bias = next(_parts(explanation, 1, len(mask)))
    return np.asarray(_predicted_probability(scores, votes, bias, mask), np.float64)


def _order_curve(explanation: Explanation, ranked: NDArray) -> Curve:
    """The curve of layers in an order [N, L], the first to be left out, or alone, first."""
    place = np.argsort(ranked, axis=1)
    sizes = range(1, ranked.shape[1])
    return Curve(
        np.array([_probabilities(explanation, place >= k).mean() for k in sizes]),
        np.array([_probabilities(explanation, place < k).mean() for k in sizes]),
    )


def _curve(with_fewest: NDArray, with_most: NDArray) -> Curve:
    """From values by the number of layers kept, [L + 1]: k left out, and k alone, k = 1 ... L - 1."""
    return Curve(with_fewest[-2:0:-1].astype(np.float64), with_most[1:-1].astype(np.float64))


def _greedy(explanation: Explanation) -> Curve:
    """Layers taken one by one, each the one whose leaving out lowers, or addition raises, the most."""
    number, layers = explanation.scores.shape
    rows = np.arange(number)
    curves = []
    for adds in (False, True):
        kept = np.full((number, layers), not adds)
        means = []
        for _ in range(layers - 1):
            tried = np.full((number, layers), -np.inf)
            for layer in range(layers):
                mask = kept.copy()
                mask[:, layer] = adds
                value = _probabilities(explanation, mask)
                tried[:, layer] = np.where(kept[:, layer] == adds, -np.inf, value if adds else -value)
            chosen = np.argmax(tried, axis=1)
            kept[rows, chosen] = adds
            means.append(abs(tried[rows, chosen]).mean())
        curves.append(np.array(means))
    return Curve(*curves)
