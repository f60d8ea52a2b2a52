"""Changes of the predicted probability as top-attention layers are removed or kept alone."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution import subsets
from laya_jax.attribution.explanation import Explanation
from laya_jax.attribution.subsets import all_masks, arrays_of, in_parts, logits_of_mask, logits_of_masks
from laya_jax.checks import check_count
from laya_jax.heads import EXACT
from laya_jax.typing import Array


class Curve(NamedTuple):
    """Probability of the predicted class with k layers left out, or with k layers alone, k = 1 ... L - 1.

    Attributes:
      without: Mean probability over the samples without the k top-attention layers, [L - 1].
      only: Mean probability over the samples with those k layers alone, [L - 1].
    """

    without: NDArray
    only: NDArray


class LayerCurves(NamedTuple):
    """Changes of the predicted probability as top-attention layers are removed or kept alone.

    Attributes:
      full: Mean probability of the predicted class with all layers.
      attention: Curve with the layers in order of attention.
      random: Curve averaged over all sets of k layers.
      best: Curve with the best set for each sample: removing it lowers the probability most, or keeping it
        alone raises the probability most.
    """

    full: float
    attention: Curve
    random: Curve
    best: Curve

    @property
    def comprehensiveness(self) -> float:
        """Area between ``full`` and the curve without the top-attention layers; higher is better."""
        return float(np.mean(self.full - self.attention.without)) if self.attention.without.size else 0.0

    @property
    def sufficiency(self) -> float:
        """Area between ``full`` and the curve with those layers alone; lower is better."""
        return float(np.mean(self.full - self.attention.only)) if self.attention.only.size else 0.0

    @property
    def comprehensiveness_score(self) -> float | None:
        """Comprehensiveness, scaled to 0 for a random order and 1 for the best sets; None if these agree."""
        return self.scores(self.attention)[0]

    @property
    def sufficiency_score(self) -> float | None:
        """Sufficiency, scaled to 0 for a random order and 1 for the best sets; None if these agree."""
        return self.scores(self.attention)[1]

    def scores(self, curve: Curve) -> tuple[float | None, float | None]:
        """Computes comprehensiveness and sufficiency scores of another order's curve, from ``curve_of``."""
        return (
            _relative(curve.without, self.random.without, self.best.without),
            _relative(curve.only, self.random.only, self.best.only),
        )


def layer_curves(explanation: Explanation, *, orders: int = 64, seed: int = 0) -> LayerCurves:
    """Computes how the predicted probability changes as top-attention layers are removed or kept alone.

    With more than 12 layers, random sets are sampled and the best ones searched greedily.

    Args:
      explanation: Explanation of N samples.
      orders: Number of random orders to sample with more than 12 layers.
      seed: Random seed of the orders.

    Reference: DeYoung et al. 2020, ERASER, section 4.2, layers in place of words.

    >>> votes = np.array([[[2.0, 0.0], [0.0, 1.0]]])
    >>> curves = layer_curves(Explanation(np.array([[1.0, 0.0]]), votes, np.ones((1, 2)), np.zeros(2)))
    >>> curves.comprehensiveness_score, curves.sufficiency_score
    (1.0, 1.0)
    """
    check_count("orders", orders)
    shape, attention = explanation.scores.shape[:2], curve_of(explanation, explanation.attention)
    if shape[1] <= subsets.EXHAUSTIVE:
        masks = all_masks(shape[1])
        parts = in_parts(_by_size, explanation, masks, masks.sum(axis=1))
        mean, least, most = (np.concatenate(arrays).mean(axis=0) for arrays in zip(*parts, strict=True))
        random, best = _curve(mean, mean), _curve(least, most)
    else:
        generator = np.random.default_rng(seed)
        draws = (np.argsort(generator.random(shape), axis=1) for _ in range(orders))
        curves = [_order_curve(explanation, draw) for draw in draws]
        random = Curve(*(np.mean(arrays, axis=0) for arrays in zip(*curves, strict=True)))
        best = _greedy(explanation)
    full = _probabilities(explanation, np.ones(shape, bool))
    return LayerCurves(float(full.mean()), attention, random, best)


def curve_of(explanation: Explanation, attribution: NDArray) -> Curve:
    """Computes the curve with the layers in order of an attribution, largest first.

    Args:
      explanation: Explanation of N samples.
      attribution: Value of each layer for each sample, [N, L].

    >>> votes = np.array([[[2.0, 0.0], [0.0, 1.0]]])
    >>> explanation = Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(2))
    >>> curve_of(explanation, np.array([[2.0, 1.0]])).only.round(2)
    array([0.88])
    """
    return _order_curve(explanation, np.argsort(-attribution, axis=1, kind="stable"))


def _relative(curve: NDArray, random: NDArray, best: NDArray) -> float | None:
    distance = float(np.sum(best - random))
    return float(np.sum(curve - random)) / distance if abs(distance) > 1e-6 else None


@partial(jax.jit, static_argnames="layers")
def _size_statistics(probabilities: Array, sizes: Array, layers: int) -> tuple[Array, Array, Array]:
    of_size = sizes[None] == jnp.arange(layers + 1)[:, None]
    mean = jnp.matmul(of_size, probabilities, precision=EXACT) / jnp.sum(of_size, axis=1)[:, None]
    least = [jnp.min(probabilities, axis=0, where=of[:, None], initial=jnp.inf) for of in of_size]
    most = [jnp.max(probabilities, axis=0, where=of[:, None], initial=-jnp.inf) for of in of_size]
    return mean.T, jnp.stack(least, axis=1), jnp.stack(most, axis=1)


@jax.jit
def _by_size(
    scores: Array, votes: Array, bias: Array, masks: Array, sizes: Array
) -> tuple[Array, Array, Array]:
    """Computes mean, minimum and maximum probability of the prediction by set size, [n, L + 1] each."""
    logits = logits_of_masks(scores, votes, bias, masks)
    predicted = jnp.argmax(logits_of_mask(scores, votes, bias, jnp.ones(scores.shape[:2], bool)), axis=1)
    probabilities = jnp.take_along_axis(jax.nn.softmax(logits), predicted[None, :, None], axis=2)[..., 0]
    return _size_statistics(probabilities, sizes, scores.shape[1])


@jax.jit
def _predicted_probability(scores: Array, votes: Array, bias: Array, mask: Array) -> Array:
    predicted = jnp.argmax(logits_of_mask(scores, votes, bias, jnp.ones(scores.shape[:2], bool)), axis=1)
    probabilities = jax.nn.softmax(logits_of_mask(scores, votes, bias, mask))
    return jnp.take_along_axis(probabilities, predicted[:, None], axis=1)[:, 0]


def _probabilities(explanation: Explanation, mask: NDArray) -> NDArray:
    """Computes the probability of the full model's prediction with only the layers of a mask [N, L]."""
    return np.asarray(_predicted_probability(*arrays_of(explanation), mask), np.float64)


def _order_curve(explanation: Explanation, ranked: NDArray) -> Curve:
    """Computes the curve for layers removed, or added, in the order [N, L]."""
    place = np.argsort(ranked, axis=1)
    sizes = range(1, ranked.shape[1])
    return Curve(
        np.array([_probabilities(explanation, place >= k).mean() for k in sizes]),
        np.array([_probabilities(explanation, place < k).mean() for k in sizes]),
    )


def _curve(with_fewest: NDArray, with_most: NDArray) -> Curve:
    """Converts values by number of layers kept, [L + 1], to a curve over k = 1 ... L - 1."""
    return Curve(with_fewest[-2:0:-1].astype(np.float64), with_most[1:-1].astype(np.float64))


def _greedy(explanation: Explanation) -> Curve:
    """Removes or adds layers greedily, each time the one that lowers or raises the probability most."""
    number, layers = explanation.scores.shape[:2]
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
