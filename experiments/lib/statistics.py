"""Means, intervals and paired tests over seeds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

ROUNDING = 1e-12
"""Tolerance below which differences count as equal."""


class Summary(NamedTuple):
    """Summary statistics of one quantity over seeds.

    Attributes:
      number: Number of seeds.
      mean: Mean over the seeds.
      deviation: Sample standard deviation; NaN for a single seed.
      low: Lower end of the two-sided 95 % t interval of the mean; NaN for a single seed.
      high: Upper end of that interval.
    """

    number: int
    mean: float
    deviation: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + (f" ± {self.deviation:.4f}" if self.number > 1 else "")


def summarize(values: Sequence[float]) -> Summary:
    """Computes the mean, standard deviation and 95 % interval, as in the paper.

    >>> summary = summarize([0.88, 0.89, 0.90])
    >>> print(summary, interval(summary.low, summary.high))
    0.8900 ± 0.0100 [0.8652, 0.9148]
    """
    number, mean = len(values), float(np.mean(values))
    if number == 1:
        return Summary(1, mean, float("nan"), float("nan"), float("nan"))
    deviation = float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, number - 1)) * deviation / number**0.5
    return Summary(number, mean, deviation, mean - half, mean + half)


def interval(low: float, high: float, sign: str = "") -> str:
    """Formats an interval, with the sign "+" for differences; returns an empty string if it is NaN.

    >>> interval(-0.01, 0.02, "+"), interval(float("nan"), float("nan"))
    ('[-0.0100, +0.0200]', '')
    """
    return "" if np.isnan(low) else f"[{low:{sign}.4f}, {high:{sign}.4f}]"


class Difference(NamedTuple):
    """Paired difference between two heads over the same seeds, one minus the other.

    Attributes:
      pairs: Number of seeds that both heads have.
      mean: Mean of the differences.
      low: Lower end of the two-sided 95 % t interval of the mean difference.
      high: Upper end of that interval.
      p: p-value of the paired t test; 1 if all differences are zero.
      effect: Cohen's d of the differences, their mean divided by their standard deviation.
    """

    pairs: int
    mean: float
    low: float
    high: float
    p: float
    effect: float

    def __str__(self) -> str:
        return str(Gap(self.mean, self.low, self.high))


def compare_paired(ours: dict[int, float], theirs: dict[int, float]) -> Difference | None:
    """Compares paired values over the seeds that both have; None for fewer than two seeds.

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


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for multiple testing by Holm's method.

    The m p-values are sorted in ascending order. The one of rank r, from 0 on, is multiplied by m - r, and
    raised to at least the ones before it.
    Reference: Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        least = min(1.0, max(least, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


class Gap(NamedTuple):
    """Unpaired difference between two means: ours minus a published one.

    Attributes:
      mean: Difference of the means.
      low: Lower end of the two-sided 95 % interval of the difference, by Welch's t statistic.
      high: Upper end of that interval.
    """

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Direction of the difference if the interval excludes zero, in words."""
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "no significant difference"

    def __str__(self) -> str:
        return f"{self.mean:+.4f} {interval(self.low, self.high, '+')}"


def compare_published(ours: Summary, mean: float, deviation: float, number: int) -> Gap | None:
    """Compares our mean with a published one, given its standard deviation and number of seeds.

    Returns None if we have a single seed.
    Reference: Welch, "The generalization of 'Student's' problem", 1947.

    >>> compare_published(summarize([0.88, 0.89, 0.90]), 0.85, 0.01, 3).verdict
    'higher'
    """
    if ours.number == 1:
        return None
    squares = ours.deviation**2 / ours.number, deviation**2 / number
    freedom = sum(squares) ** 2 / (squares[0] ** 2 / (ours.number - 1) + squares[1] ** 2 / (number - 1))
    half = float(stats.t.ppf(0.975, freedom)) * sum(squares) ** 0.5
    return Gap(ours.mean - mean, ours.mean - mean - half, ours.mean - mean + half)
