"""Detection of mistakes, out-of-distribution inputs and wrong labels by attention and by logits."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

from laya_jax.attribution.attention_similarity import jensen_shannon
from laya_jax.attribution.contributions import margins
from laya_jax.attribution.depth_profiles import ClassProfile, class_profile, entropy
from laya_jax.attribution.explanation import Explanation


class Detection(NamedTuple):
    """Performance of a score as a detector of positive samples: mistakes, or unusual inputs.

    Attributes:
      auroc: Area under the receiver operating characteristic: probability that a positive sample scores
        higher than a negative one; 0.5 is chance. None unless there are samples of both kinds.
      false_positive_rate: False positive rate at a true positive rate of 95 %, or None.
      risk_coverage_area: Mean fraction of positive samples among the lowest-scoring 1, 2, ... N; lower is
        better.
    """

    auroc: float | None
    false_positive_rate: float | None
    risk_coverage_area: float


class Uncertainty(NamedTuple):
    """Scores [N] that should be higher for wrong predictions and unusual inputs.

    Attributes:
      max_softmax: 1 - max softmax.
      energy: -log sum exp of the logits.
      attention_entropy: Entropy of the attention; like all that follow, None for a head without attention.
      profile_distance: Jensen-Shannon divergence from the mean attention of the predicted class.
      contribution_conflict: ``1 - |sum m| / sum |m|``, where m are the layers' contributions to the margin
        over the runner-up.
      lens_disagreement: Attention on layers that alone would predict another class.
    """

    max_softmax: NDArray
    energy: NDArray
    attention_entropy: NDArray | None = None
    profile_distance: NDArray | None = None
    contribution_conflict: NDArray | None = None
    lens_disagreement: NDArray | None = None


class LabelSuspicion(NamedTuple):
    """Scores [N] that should be higher for wrong labels.

    Attributes:
      self_confidence: ``-log p(label)``.
      profile_distance: Jensen-Shannon divergence from the mean attention of the label's class; like the next,
        None for a head without attention.
      opposing_layers: Fraction of the layers' contributions to the margin between the label and the best
        other class that opposes the label.
    """

    self_confidence: NDArray
    profile_distance: NDArray | None = None
    opposing_layers: NDArray | None = None


def by_name(scores: Uncertainty | LabelSuspicion) -> dict[str, NDArray]:
    """Returns the scores that a head has, by name.

    >>> list(by_name(uncertainty(np.array([[2.0, 1.0]]))))
    ['max_softmax', 'energy']
    """
    return {name: values for name, values in scores._asdict().items() if values is not None}


def uncertainty(
    logits: NDArray, explanation: Explanation | None = None, profile: ClassProfile | None = None
) -> Uncertainty:
    """Computes scores that should be higher for wrong predictions and unusual inputs.

    Args:
      logits: Logits [N, K].
      explanation: Explanation of the samples; None for a head without attention.
      profile: Mean attention of each predicted class; None computes it from these samples.

    Reference: Hendrycks and Gimpel 2017 (maximum softmax probability); Liu et al. 2020 (energy).

    >>> uncertainty(np.array([[2.0, 1.0]])).max_softmax.round(2)
    array([0.27])
    """
    logits = np.asarray(logits, np.float64)
    scores = Uncertainty(1 - softmax(logits, axis=1).max(axis=1), -logsumexp(logits, axis=1))
    if explanation is None:
        return scores
    attention, predicted = explanation.attention, np.argmax(logits, axis=1)
    if profile is None:
        profile = class_profile(attention, predicted, logits.shape[1])
    shares = margins(explanation)
    total = np.abs(shares).sum(axis=1)
    alone = np.argmax(explanation.lens, axis=2)
    return scores._replace(
        attention_entropy=entropy(attention),
        profile_distance=jensen_shannon(attention, profile.attention[predicted]),
        contribution_conflict=1 - np.abs(shares.sum(axis=1)) / np.where(total > 0, total, 1),
        lens_disagreement=np.sum(attention * (alone != predicted[:, None]), axis=1),
    )


def detection(scores: NDArray, positive: NDArray) -> Detection:
    """Evaluates scores as a detector of positive samples.

    Args:
      scores: Scores [N], higher for samples that are more likely positive.
      positive: True for each positive sample, [N].

    >>> detection(np.array([0.1, 0.2, 0.9]), np.array([False, False, True]))
    Detection(auroc=1.0, false_positive_rate=0.0, risk_coverage_area=0.1111111111111111)
    """
    from scipy.stats import rankdata  # takes as long to import as JAX does

    positive = np.asarray(positive, bool)
    area = risk_coverage_area(scores, positive)
    number, others = int(positive.sum()), int((~positive).sum())
    if not number or not others:
        return Detection(None, None, area)
    above = rankdata(scores)[positive].sum() - number * (number + 1) / 2
    threshold = np.sort(scores[positive])[::-1][int(np.ceil(0.95 * number)) - 1]
    return Detection(float(above / (number * others)), float(np.mean(scores[~positive] >= threshold)), area)


def risk_coverage_area(scores: NDArray, positive: NDArray) -> float:
    """Averages the fraction of positive samples among the lowest-scoring 1, 2, ... N; ties are averaged.

    Reference: Geifman et al. 2019, Bias-reduced uncertainty estimation for deep neural classifiers.

    >>> risk_coverage_area(np.array([0.3, 0.1]), np.array([False, True]))
    0.75
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    share = np.bincount(inverse, weights=positive) / counts
    in_order = np.repeat(share, counts)
    return float(np.mean(np.cumsum(in_order) / np.arange(1, len(in_order) + 1)))


def label_suspicion(
    logits: NDArray, labels: NDArray, explanation: Explanation | None = None
) -> LabelSuspicion:
    """Computes scores that should be higher for wrong labels.

    Args:
      logits: Logits [N, K].
      labels: Given labels, [N].
      explanation: Explanation of the samples; None for a head without attention.

    Reference: Northcutt et al. 2021, Confident learning (self-confidence).

    >>> label_suspicion(np.array([[2.0, 0.0], [2.0, 0.0]]), np.array([0, 1])).self_confidence.round(2)
    array([0.13, 2.13])
    """
    logits, rows = np.asarray(logits, np.float64), np.arange(len(labels))
    scores = LabelSuspicion(-log_softmax(logits, axis=1)[rows, labels])
    if explanation is None:
        return scores
    attention = explanation.attention
    profile = class_profile(attention, labels, logits.shape[1])
    shares = margins(explanation, labels)
    against, total = np.maximum(-shares, 0).sum(axis=1), np.abs(shares).sum(axis=1)
    return scores._replace(
        profile_distance=jensen_shannon(attention, profile.attention[labels]),
        opposing_layers=against / np.where(total > 0, total, 1),
    )


def precision_at(scores: NDArray, wrong: NDArray, number: int) -> float:
    """Computes the fraction of wrong labels among the most suspicious ones.

    Args:
      scores: Suspicion scores, [N].
      wrong: True for each wrong label, [N].
      number: Number of labels to inspect.

    >>> precision_at(np.array([0.9, 0.1, 0.5]), np.array([True, True, False]), number=2)
    0.5
    """
    worst = np.argsort(-scores, kind="stable")[:number]
    return float(np.mean(wrong[worst]))
