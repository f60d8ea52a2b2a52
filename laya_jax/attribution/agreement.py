"""Whether an attribution agrees with what happens when a layer is left out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import rankdata

from laya_jax.attribution.contributions import of_class
from laya_jax.attribution.explanation import Explanation
from laya_jax.attribution.shapley import ShapleyValues
from laya_jax.attribution.similarity import centred


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


def attributions(explanation: Explanation, shapley: ShapleyValues) -> dict[str, NDArray]:
    """What there is to say how much each layer did for the predicted class, [N, L] each.

    attention; attention_norm, ``attention_i |z_i|``; contribution, what a layer adds to the logit of the
    predicted class, less what it adds on average to all; shapley, the same of the Shapley values.

    Args:
      explanation: of N samples.
      shapley: of the predicted classes, from ``shapley_of_class``.
    """
    attention, predicted = explanation.attention, np.argmax(explanation.logits, axis=1)
    return {
        "attention": attention,
        "attention_norm": attention * explanation.norms,
        "contribution": of_class(explanation.contributions, predicted),
        "shapley": shapley.values,
    }


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
    # In float64 as ``before`` is: where attention is peaked, most drops are less than float32 rounds.
    masked = (explanation.masked(kept) for kept in ~np.eye(layers, dtype=bool))
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


def _row_correlation(first: NDArray, second: NDArray) -> NDArray:
    """Correlation of each row of centred values, of those rows where both have any spread."""
    lengths = np.sqrt(np.sum(first**2, axis=1) * np.sum(second**2, axis=1))
    spread = lengths > 0
    return np.sum(first * second, axis=1)[spread] / lengths[spread]
