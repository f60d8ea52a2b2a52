"""Whether attention tells what a head used."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import rankdata

from laya_jax.attribution.explanation import Explanation
from laya_jax.attribution.profiles import class_profile
from laya_jax.attribution.similarity import centred
from laya_jax.attribution.subsets import ShapleyValues, masked_logits
from laya_jax.typing import Array, Bool, Float


class RankAgreement(NamedTuple):
    """How far two rankings of the layers agree, per sample.

    Attributes:
      spearman: mean over the samples of Spearman's correlation; None where no sample has one.
      kendall: the same of Kendall's tau-b.
      samples: share of the samples whose layers differ in both, so that there is something to rank.
    """

    spearman: float | None
    kendall: float | None
    samples: float


class Agreement(NamedTuple):
    """How far an attribution agrees with what happens when a layer is left out.

    Attributes:
      masked: with the drop of the predicted class's log-probability when the layer is masked and the rest
        renormalised.
      masked_centred: the same once the mean of each layer is taken away from both: whether the attribution
        knows what is special about a sample.
      zeroed: with the drop when what the layer adds is left out and nothing renormalised.
      zeroed_centred: the same, centred.
    """

    masked: RankAgreement
    masked_centred: RankAgreement
    zeroed: RankAgreement
    zeroed_centred: RankAgreement


class Replacement(NamedTuple):
    """What is left of the predictions with another attention.

    Attributes:
      accuracy: share of the samples classified right.
      flips: share whose predicted class changes.
    """

    accuracy: float
    flips: float


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


def deletion_flips(
    predict: Callable[[Bool[Array, "batch layer"]], Float[Array, "batch classes"]],
    attention: Float[Array, "batch layer"],
) -> Bool[Array, "batch layer"]:
    """Which predictions change when one layer is masked, layers in order of their attention.

    Attention that tells what the head used changes more predictions in the first column, without the
    layer of most attention, than in the others.

    Args:
      predict: logits from a layer mask, True where a layer may be used.
      attention: of each sample over the layers.

    Returns:
      Whether the predicted class is another one without the layer of most attention, of second most, ...

    >>> votes = jnp.array([[[2.0, 0.0], [0.0, 1.0]]])  # layer 0 adds 2 to class 0, layer 1 adds 1 to class 1
    >>> predict = lambda mask: jnp.sum(votes * mask[:, :, None], axis=1)
    >>> deletion_flips(predict, jnp.array([[0.9, 0.1]]))
    Array([[ True, False]], dtype=bool)
    """
    layers = jnp.arange(attention.shape[1])
    order = jnp.argsort(-attention, axis=1)
    before = jnp.argmax(predict(jnp.ones(attention.shape, bool)), axis=1)
    masks = [layers[None] != order[:, rank, None] for rank in range(len(layers))]
    return jnp.stack([jnp.argmax(predict(mask), axis=1) != before for mask in masks], axis=1)


def completeness_gap(explanation: Explanation, logits: NDArray) -> float:
    """How far bias and contributions are from the logits, at most, relative to the largest logit.

    >>> votes = np.array([[[2.0], [4.0]]])
    >>> completeness_gap(
    ...     Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(1)), np.array([[3.0]])
    ... )
    0.0
    """
    largest = max(float(np.abs(logits).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(explanation.logits - logits).max()) / largest


def attributions(explanation: Explanation, shapley: ShapleyValues) -> dict[str, NDArray]:
    """What there is to say how much each layer did for the predicted class, [N, L] each.

    attention; attention_norm, ``attention_i |z_i|``; contribution, what a layer adds to the logit of the
    predicted class, less what it adds on average to all; shapley, the same of the Shapley values.

    Args:
      explanation: of N samples.
      shapley: of the same samples.
    """
    attention, predicted = explanation.attention, np.argmax(explanation.logits, axis=1)
    return {
        "attention": attention,
        "attention_norm": attention * explanation.norms,
        "contribution": of_class(explanation.contributions, predicted),
        "shapley": of_class(shapley.values, predicted),
    }


def of_class(values: NDArray, classes: NDArray) -> NDArray:
    """Values [N, L, K] of one class per sample, less their mean over the classes, [N, L].

    A softmax does not see what is added to all logits alike.

    >>> of_class(np.array([[[3.0, 1.0]]]), np.array([0]))
    array([[1.]])
    """
    values = np.asarray(values, np.float64)
    return np.take_along_axis(values, classes[:, None, None], axis=2)[..., 0] - values.mean(axis=2)


def leave_one_out(explanation: Explanation) -> tuple[NDArray, NDArray]:
    """Drop of the predicted class's log-probability when one layer is left out, [N, L] each.

    Returns:
      With the layer masked and the others' attention renormalised; with what it adds left out.

    >>> votes = np.array([[[2.0, 0.0], [0.0, 1.0]]])
    >>> masked, _ = leave_one_out(Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(2)))
    >>> masked.round(2)
    array([[ 0.84, -0.35]])
    """
    logits, contributions = explanation.logits, explanation.contributions
    predicted, layers = np.argmax(logits, axis=1), contributions.shape[1]

    def log_probability(logits: NDArray) -> NDArray:
        return np.take_along_axis(log_softmax(logits, axis=-1), predicted[:, None], axis=-1)[:, 0]

    before = log_probability(logits)
    masked = masked_logits(explanation, ~np.eye(layers, dtype=bool)).astype(np.float64)
    return (
        np.stack([before - log_probability(without) for without in masked], axis=1),
        np.stack([before - log_probability(logits - contributions[:, i]) for i in range(layers)], axis=1),
    )


def agreement(attribution: NDArray, masked: NDArray, zeroed: NDArray) -> Agreement:
    """How far an attribution [N, L] agrees with leaving one layer out, as ``leave_one_out`` gives it.

    >>> effect = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> agreement(effect, effect, effect).masked
    RankAgreement(spearman=1.0, kendall=1.0, samples=1.0)
    """
    return Agreement(
        rank_agreement(attribution, masked),
        rank_agreement(centred(attribution), centred(masked)),
        rank_agreement(attribution, zeroed),
        rank_agreement(centred(attribution), centred(zeroed)),
    )


def rank_agreement(first: NDArray, second: NDArray) -> RankAgreement:
    """Spearman's and Kendall's correlation over the layers, per sample, and their means.

    >>> rank_agreement(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 3.0, 2.0]]))
    RankAgreement(spearman=0.5, kendall=0.3333333333333333, samples=1.0)
    """
    left, right = np.triu_indices(first.shape[1], k=1)
    orders = [np.sign(values[:, left] - values[:, right]) for values in (first, second)]
    ranks = [rankdata(values, axis=1) for values in (first, second)]
    spearman = _row_correlation(*(rank - rank.mean(axis=1, keepdims=True) for rank in ranks))
    kendall = _row_correlation(*orders)
    if not len(spearman):
        return RankAgreement(None, None, 0.0)
    return RankAgreement(float(spearman.mean()), float(kendall.mean()), len(spearman) / len(first))


def replaced_attention(explanation: Explanation, labels: NDArray, seed: int = 0) -> dict[str, Replacement]:
    """What is left of the predictions if attention does not depend on the sample as it does.

    own: as it is; uniform; mean: over all samples; class_mean: over those of the same predicted class;
    permuted: another sample's; top_layer: all on the layer of most attention.

    Args:
      explanation: of N samples.
      labels: true classes, [N].
      seed: of the permutation.
    """
    attention, before = explanation.attention, np.argmax(explanation.logits, axis=1)
    number, layers = attention.shape
    by_class = class_profile(attention, before, explanation.votes.shape[2]).attention
    replaced = {
        "own": attention,
        "uniform": np.full_like(attention, 1 / layers),
        "mean": np.broadcast_to(attention.mean(axis=0), attention.shape),
        "class_mean": by_class[before],
        "permuted": attention[np.random.default_rng(seed).permutation(number)],
        "top_layer": np.eye(layers)[np.argmax(attention, axis=1)],
    }
    found = {}
    for name, other in replaced.items():
        after = np.argmax(explanation.logits_with(other), axis=1)
        found[name] = Replacement(float(np.mean(after == labels)), float(np.mean(after != before)))
    return found


def opposing_top_layer(explanation: Explanation) -> float:
    """How often the layer of most attention argues against the prediction.

    That is, it adds more to the logit of the class in second place than to that of the predicted one.

    >>> votes = np.array([[[0.0, 1.0], [5.0, 0.0]]])
    >>> scores = np.log([[0.6, 0.4]])
    >>> opposing_top_layer(Explanation(scores, votes, np.ones((1, 2)), np.zeros(2)))
    1.0
    """
    top = np.argmax(explanation.attention, axis=1)
    return float(np.mean(margins(explanation)[np.arange(len(top)), top] < 0))


def margins(
    explanation: Explanation, winners: NDArray | None = None, losers: NDArray | None = None
) -> NDArray:
    """What each layer adds to the margin of one class over another, [N, L].

    Args:
      explanation: of N samples.
      winners: classes, [N]; None takes the predicted ones.
      losers: classes, [N]; None takes those of the highest logit besides the winners.

    Returns:
      With the difference of the two classes' biases, they sum to the difference of the two logits.

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


def _row_correlation(first: NDArray, second: NDArray) -> NDArray:
    """Correlation of each row of centred values, of those rows where both have any spread."""
    lengths = np.sqrt(np.sum(first**2, axis=1) * np.sum(second**2, axis=1))
    spread = lengths > 0
    return np.sum(first * second, axis=1)[spread] / lengths[spread]
