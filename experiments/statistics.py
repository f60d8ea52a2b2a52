"""Means, intervals and paired tests over seeds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

ROUNDING = 1e-12
"""Differences that differ by less are the same."""


class Summary(NamedTuple):
    """Of one number over the seeds.

    Attributes:
      number: of seeds.
      mean: over them.
      deviation: standard deviation, of a sample; nan for one seed.
      low: lower end of the two-sided 95 % interval of the mean, by the t statistic.
      high: upper end.
    """

    number: int
    mean: float
    deviation: float
    low: float
    high: float


def summarize(values: Sequence[float]) -> Summary:
    """Mean, standard deviation, and 95 % interval as in the paper.

    >>> [round(float(value), 4) for value in summarize([0.88, 0.89, 0.90])]
    [3.0, 0.89, 0.01, 0.8652, 0.9148]
    """
    number, mean = len(values), float(np.mean(values))
    if number == 1:
        return Summary(1, mean, float("nan"), float("nan"), float("nan"))
    deviation = float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, number - 1)) * deviation / number**0.5
    return Summary(number, mean, deviation, mean - half, mean + half)


class Difference(NamedTuple):
    """Of two heads on the same seeds, the one minus the other.

    Attributes:
      pairs: seeds that both have.
      mean: of the differences.
      low: lower end of their two-sided 95 % interval, by the t statistic.
      high: upper end.
      p: of the paired t test; 1 if all differences are zero.
      effect: Cohen's d of the differences, their mean over their standard deviation.
    """

    pairs: int
    mean: float
    low: float
    high: float
    p: float
    effect: float


def compare_paired(ours: dict[int, float], theirs: dict[int, float]) -> Difference | None:
    """The paired comparison over the seeds that both have; None for fewer than two.

    >>> compare_paired({0: 0.9, 1: 0.8}, {0: 0.8, 1: 0.9}).p
    1.0
    """
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return None
    differences = np.array([ours[seed] - theirs[seed] for seed in seeds])
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if np.ptp(differences) < ROUNDING:
        same = abs(mean) < ROUNDING
        effect = 0.0 if same else float(np.copysign(np.inf, mean))
        return Difference(len(seeds), mean, mean, mean, float(same), effect)
    half = float(stats.t.ppf(0.975, len(seeds) - 1)) * deviation / len(seeds) ** 0.5
    p = float(stats.ttest_1samp(differences, 0).pvalue)
    return Difference(len(seeds), mean, mean - half, mean + half, p, mean / deviation)
