"""Rank agreement of an attribution with the effect of leaving layers out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from laya_jax.attribution.attention_similarity import centred
from laya_jax.attribution.contributions import of_class
from laya_jax.attribution.explanation import Explanation
from laya_jax.attribution.shapley import ShapleyValues


class RankAgreement(NamedTuple):
    """Agreement of two rankings of the layers, computed per sample.

    Attributes:
      spearman: Mean over samples of Spearman's rank correlation; None if it is undefined for all samples.
      kendall: Mean over samples of Kendall's tau-b; None if it is undefined for all samples.
      samples: Fraction of the samples for which both rankings distinguish layers, so that they can be
        compared.
    """

    spearman: float | None
    kendall: float | None
    samples: float


class Agreement(NamedTuple):
    """Agreement of an attribution with the effect of leaving one layer out.

    Attributes:
      masked: Agreement with the drop in the predicted class's log-probability when the layer is masked and
        the attention of the others renormalised.
      masked_centred: The same after subtracting each layer's mean over samples from both, which tests if the
        attribution captures what is specific to a sample.
      zeroed: Agreement with the drop when the layer's contribution is removed without renormalising.
      zeroed_centred: The same after subtracting each layer's mean over samples.
    """

    masked: RankAgreement
    masked_centred: RankAgreement
    zeroed: RankAgreement
    zeroed_centred: RankAgreement


class Attributions(NamedTuple):
    """Attributions of the predicted class to layers, [N, L] each.

    Attributes:
      attention: Attention.
      attention_norm: ``attention_i |z_i|``.
      contribution: Contribution of a layer to the logit of the predicted class, minus its mean contribution
        to all classes.
      shapley: Shapley values of the same logit.
    """

    attention: NDArray
    attention_norm: NDArray
    contribution: NDArray
    shapley: NDArray


def attributions(explanation: Explanation, shapley: ShapleyValues) -> Attributions:
    """Computes every attribution of the predicted class to layers.

    Args:
      explanation: Explanation of N samples.
      shapley: Shapley values of the predicted classes, from ``shapley_of_class``.
    """
    attention, predicted = explanation.attention, np.argmax(explanation.logits, axis=1)
    return Attributions(
        attention=attention,
        attention_norm=attention * explanation.norms,
        contribution=of_class(explanation.contributions, predicted),
        shapley=shapley.values,
    )


def leave_one_out(explanation: Explanation) -> tuple[NDArray, NDArray]:
    """Computes the drop in the predicted class's log-probability when one layer is left out.

    Returns:
      Two arrays [N, L]: with the layer masked and the attention of the others renormalised, and with its
      contribution removed.

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
    # In float64 like ``before``: where attention is peaked, most drops are below the rounding of float32.
    masked = (explanation.masked(kept) for kept in ~np.eye(layers, dtype=bool))
    return (
        np.stack([before - log_probability(without) for without in masked], axis=1),
        np.stack([before - log_probability(logits - contributions[:, i]) for i in range(layers)], axis=1),
    )


def agreement(attribution: NDArray, masked: NDArray, zeroed: NDArray) -> Agreement:
    """Compares an attribution [N, L] with the two results of ``leave_one_out``.

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
    """Computes Spearman's and Kendall's correlation over the layers per sample, and averages them.

    >>> rank_agreement(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 3.0, 2.0]]))
    RankAgreement(spearman=0.5, kendall=0.3333333333333333, samples=1.0)
    """
    from scipy.stats import rankdata  # takes as long to import as JAX does

    left, right = np.triu_indices(first.shape[1], k=1)
    orders = [np.sign(values[:, left] - values[:, right]) for values in (first, second)]
    ranks = [rankdata(values, axis=1) for values in (first, second)]
    spearman = _row_correlation(*(rank - rank.mean(axis=1, keepdims=True) for rank in ranks))
    kendall = _row_correlation(*orders)
    if not len(spearman):
        return RankAgreement(None, None, 0.0)
    return RankAgreement(float(spearman.mean()), float(kendall.mean()), len(spearman) / len(first))


def _row_correlation(first: NDArray, second: NDArray) -> NDArray:
    """Correlates centred values row by row, for rows in which both vary."""
    lengths = np.sqrt(np.sum(first**2, axis=1) * np.sum(second**2, axis=1))
    spread = lengths > 0
    return np.sum(first * second, axis=1)[spread] / lengths[spread]
