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

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + (f" ± {self.deviation:.4f}" if self.number > 1 else "")


def summarize(values: Sequence[float]) -> Summary:
    """Mean, standard deviation, and 95 % interval as in the paper.

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
    """An interval as text, with the sign "+" for one of differences; nothing where there is none.

    >>> interval(-0.01, 0.02, "+"), interval(float("nan"), float("nan"))
    ('[-0.0100, +0.0200]', '')
    """
    return "" if np.isnan(low) else f"[{low:{sign}.4f}, {high:{sign}.4f}]"


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

    def __str__(self) -> str:
        return str(Gap(self.mean, self.low, self.high))


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


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects the p of several tests for their number, by Holm's method.

    The p of rank r, from the least, of m is multiplied by m - r, and is no less than those before it.
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
    """Between two means of different seeds: ours minus a published one.

    Attributes:
      mean: the difference.
      low: lower end of its two-sided 95 % interval, by Welch's t statistic.
      high: upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether zero lies in the interval, and if not, on which side of it."""
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "no difference shown"

    def __str__(self) -> str:
        return f"{self.mean:+.4f} {interval(self.low, self.high, '+')}"


def compare_published(ours: Summary, mean: float, deviation: float, number: int) -> Gap | None:
    """Our mean minus one of which mean, standard deviation and number of seeds were published.

    Reference: Welch, "The generalization of 'Student's' problem", 1947. None for a single seed of ours.

    >>> compare_published(summarize([0.88, 0.89, 0.90]), 0.85, 0.01, 3).verdict
    'higher'
    """
    if ours.number == 1:
        return None
    squares = ours.deviation**2 / ours.number, deviation**2 / number
    freedom = sum(squares) ** 2 / (squares[0] ** 2 / (ours.number - 1) + squares[1] ** 2 / (number - 1))
    half = float(stats.t.ppf(0.975, freedom)) * sum(squares) ** 0.5
    return Gap(ours.mean - mean, ours.mean - mean - half, ours.mean - mean + half)
