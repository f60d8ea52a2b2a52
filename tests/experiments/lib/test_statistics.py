import numpy as np
import pytest
from scipy import stats

from experiments.lib.statistics import compare_paired, compare_published, holm, interval, summarize


def test_a_summary_is_the_paper_s_interval():
    values = [0.8842, 0.8871, 0.8790, 0.8888, 0.8779]
    summary = summarize(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (summary.low, summary.high) == pytest.approx((low, high))
    assert summary.deviation == pytest.approx(np.std(values, ddof=1))


def test_one_seed_has_no_spread():
    summary = summarize([0.9])
    assert summary.mean == 0.9
    assert np.isnan([summary.deviation, summary.low, summary.high]).all()
    assert (str(summary), interval(summary.low, summary.high)) == ("0.9000", "")
    assert compare_published(summary, 0.8, 0.01, 5) is None


def test_a_difference_is_the_paired_t_test_over_the_seeds_that_both_have():
    draw = np.random.default_rng(0)
    ours = dict(enumerate(draw.normal(0.9, 0.01, 6)))
    theirs = {seed: draw.normal(0.89, 0.01) for seed in (1, 2, 3, 4, 9)}
    difference = compare_paired(ours, theirs)
    pairs = np.array([(ours[seed], theirs[seed]) for seed in (1, 2, 3, 4)])
    expected = stats.ttest_rel(*pairs.T)
    assert difference.pairs == 4
    assert difference.p == pytest.approx(expected.pvalue)
    assert (difference.low, difference.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    gaps = pairs[:, 0] - pairs[:, 1]
    assert difference.effect == pytest.approx(gaps.mean() / gaps.std(ddof=1))


def test_a_difference_that_is_the_same_for_all_seeds_needs_no_test():
    assert compare_paired({0: 0.75, 1: 0.5}, {0: 0.5, 1: 0.25}).p == 0
    assert compare_paired({0: 0.3, 1: 0.2, 2: 0.7}, {0: 0.2, 1: 0.1, 2: 0.6}).p == 0
    assert compare_paired({0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5}).p == 1
    dust = compare_paired({0: 0.3, 1: 0.3}, {0: 0.1 + 0.2, 1: 0.1 + 0.2})
    assert (dust.p, dust.effect) == (1, 0)
    assert compare_paired({0: 0.25, 1: 0.5}, {0: 0.5, 1: 0.75}).effect == -np.inf


def test_one_pair_shows_nothing():
    assert compare_paired({0: 0.9}, {0: 0.8, 1: 0.7}) is None


def test_a_published_mean_is_compared_by_welch_s_test():
    draw = np.random.default_rng(1)
    ours, theirs = draw.normal(0.90, 0.01, 5), draw.normal(0.89, 0.03, 7)
    gap = compare_published(summarize(ours), theirs.mean(), theirs.std(ddof=1), 7)
    expected = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert (gap.low, gap.high) == pytest.approx(tuple(expected))
    assert gap.mean == pytest.approx(ours.mean() - theirs.mean())


def test_holm_s_correction_is_that_of_closed_bonferroni_tests():
    p_values = [0.011, 0.02, 0.9, 0.001, 0.02]

    def rejected(subset):
        return min(p_values[index] for index in subset) * len(subset)

    every = [
        [index for index in range(5) if bits >> index & 1] for bits in range(1, 32)
    ]  # a hypothesis falls if every intersection that holds it does
    expected = [min(1, max(rejected(one) for one in every if index in one)) for index in range(5)]
    assert holm(p_values) == pytest.approx(expected)
