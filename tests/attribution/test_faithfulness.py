import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from laya_jax.attribution import (
    Explanation,
    agreement,
    attributions,
    completeness_gap,
    deletion_flips,
    leave_one_out,
    margins,
    opposing_top_layer,
    rank_agreement,
    replaced_attention,
    rescaling,
    shapley_of_class,
)
from tests.attribution.conftest import LAYERS, SAMPLES, drawn


def flips_of(explanation):
    predict = lambda mask: jnp.asarray(explanation.masked(mask))  # noqa: E731
    return np.asarray(deletion_flips(predict, jnp.asarray(explanation.attention)))


def test_a_head_that_ignores_all_layers_but_one(one_layer):
    # Ties of zeros go to the first class: a prediction of another class flips when all that counts is gone.
    flips = flips_of(one_layer)
    np.testing.assert_array_equal(flips[:, 0], np.argmax(one_layer.logits, axis=1) != 0)
    assert not flips[:, 1:].any()
    masked, zeroed = leave_one_out(one_layer)
    found = agreement(one_layer.attention, masked, zeroed)
    assert found.masked.spearman == pytest.approx(1)
    assert found.zeroed.kendall == pytest.approx(1)
    # Attention is the same for all samples: it knows nothing about any of them.
    assert found.masked_centred.spearman is None
    assert found.masked_centred.samples == 0
    assert opposing_top_layer(one_layer) == 0


def test_attention_that_is_independent_of_the_output(indifferent):
    assert not flips_of(indifferent).any()
    masked, zeroed = leave_one_out(indifferent)
    np.testing.assert_allclose(masked, 0, atol=1e-6)
    left = replaced_attention(indifferent, np.argmax(indifferent.logits, axis=1))
    assert {(each.accuracy, each.flips) for each in left} == {(1.0, 0.0)}
    # What a layer adds is its attention, if all say the same.
    assert agreement(indifferent.attention, masked, zeroed).zeroed.spearman == pytest.approx(1)


def test_uniform_attention(uniform):
    labels = np.zeros(SAMPLES, int)
    left = replaced_attention(uniform, labels)
    for name in ("uniform", "mean", "class_mean", "permuted"):
        assert getattr(left, name) == left.own
        assert getattr(left, name).flips == 0
    assert left.top_layer.flips > 0
    found = agreement(uniform.attention, *leave_one_out(uniform))
    assert (found.masked.spearman, found.masked.samples) == (None, 0)


def test_attention_that_argues_against_its_own_prediction():
    explanation = drawn(samples=2, layers=2, classes=2)._replace(
        scores=np.log([[0.6, 0.4], [0.6, 0.4]]),
        votes=np.array([[[0.0, 1.0], [5.0, 0.0]], [[1.0, 0.0], [5.0, 0.0]]]),
        bias=np.zeros(2),
    )
    assert opposing_top_layer(explanation) == 0.5


def test_margins_and_biases_are_the_difference_of_the_logits(explanation):
    logits = explanation.logits
    first, second = np.argsort(-logits, axis=1)[:, :2].T
    rows = np.arange(SAMPLES)
    difference = (
        logits[rows, first] - logits[rows, second] - explanation.bias[first] + explanation.bias[second]
    )
    np.testing.assert_allclose(margins(explanation).sum(axis=1), difference, atol=1e-9)
    zeros, ones = np.zeros(SAMPLES, int), np.ones(SAMPLES, int)
    between = margins(explanation, zeros, ones)
    np.testing.assert_allclose(between, -margins(explanation, ones, zeros))


def test_leaving_one_out_is_done_by_hand(explanation):
    masked, zeroed = leave_one_out(explanation)
    sample, layer = 7, 2
    predicted = np.argmax(explanation.logits[sample])
    kept = [0, 1, 3]
    weights = np.exp(explanation.scores[sample, kept])
    logits = explanation.bias + weights @ explanation.votes[sample, kept] / weights.sum()

    def log_probability(logits):
        return logits[predicted] - np.log(np.exp(logits).sum())

    full = log_probability(explanation.logits[sample])
    assert masked[sample, layer] == pytest.approx(full - log_probability(logits), abs=1e-5)
    without = explanation.logits[sample] - explanation.contributions[sample, layer]
    assert zeroed[sample, layer] == pytest.approx(full - log_probability(without), abs=1e-9)


def test_layers_that_peaked_attention_hardly_hears_are_told_apart():
    drawn_float32 = (array.astype(np.float32) for array in drawn(layers=12))
    explanation = Explanation(*drawn_float32)
    explanation.scores[np.arange(SAMPLES), np.argmax(explanation.scores, axis=1)] += 4
    attention = explanation.attention
    assert 0.94 < attention.max(axis=1).mean() < 0.99
    votes, predicted = np.float64(explanation.votes), np.argmax(explanation.logits, axis=1)

    def log_probability(attention):
        logits = explanation.bias + np.einsum("nl,nlk->nk", attention, votes)
        return special.log_softmax(logits, axis=1)[np.arange(SAMPLES), predicted]

    expected = np.empty_like(attention)
    for layer in range(12):
        weights = np.delete(np.float64(explanation.scores), layer, axis=1)
        without = np.insert(special.softmax(weights, axis=1), layer, 0, axis=1)
        expected[:, layer] = log_probability(attention) - log_probability(without)
    masked, zeroed = leave_one_out(explanation)
    np.testing.assert_allclose(masked, expected, rtol=1e-9, atol=1e-14)
    assert masked.dtype == zeroed.dtype == np.float64


def test_rank_agreement_is_scipys_ties_included():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 4, (2, 50, 5)).astype(float)
    first[1:, 0], second[1:, 1] = 5.0, 5.0
    first[0] = 1.0  # nothing to rank: left out
    spearman = [stats.spearmanr(*rows).statistic for rows in zip(first[1:], second[1:], strict=True)]
    kendall = [stats.kendalltau(*rows).statistic for rows in zip(first[1:], second[1:], strict=True)]
    found = rank_agreement(first, second)
    assert found.spearman == pytest.approx(np.mean(spearman))
    assert found.kendall == pytest.approx(np.mean(kendall))
    assert found.samples == pytest.approx(49 / 50)


def test_completeness_gap_finds_logits_that_are_no_sum(explanation):
    assert completeness_gap(explanation, explanation.logits) < 1e-12
    other = explanation.logits + 1
    assert completeness_gap(explanation, other) == pytest.approx(1 / np.abs(other).max())


def test_attributions_sum_to_the_same_logit(explanation):
    shapley = shapley_of_class(explanation, np.argmax(explanation.logits, axis=1))
    found = attributions(explanation, shapley)
    assert {values.shape for values in found} == {(SAMPLES, LAYERS)}
    np.testing.assert_allclose(found.contribution.sum(axis=1), found.shapley.sum(axis=1), atol=1e-5)


def test_a_rescaled_head_decides_alike_with_another_attention(explanation):
    found = rescaling(explanation._replace(bias=np.zeros(3)))
    assert found.same_decisions == 1
    assert found.same_top_layer < 1
    assert found.attention_change > 0.05


@pytest.mark.parametrize(("layers", "classes", "samples"), [(1, 3, 5), (3, 1, 5), (3, 3, 1)])
def test_few_layers_classes_and_samples_give_numbers_or_none(layers, classes, samples):
    explanation = drawn(samples, layers, classes)
    masked, zeroed = leave_one_out(explanation)
    shapley = shapley_of_class(explanation, np.argmax(explanation.logits, axis=1))
    for values in attributions(explanation, shapley):
        for part in agreement(values, masked, zeroed):
            assert part.spearman is None or np.isfinite(part.spearman)
    assert np.isfinite(rescaling(explanation)).all()
    assert 0 <= opposing_top_layer(explanation) <= 1
    left = replaced_attention(explanation, np.zeros(samples, int))
    assert np.isfinite(left).all()
