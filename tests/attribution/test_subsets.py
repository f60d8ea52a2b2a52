from itertools import combinations, permutations

import numpy as np
import pytest
from precisions import precisions_on_tpu
from scipy.special import softmax

from laya_jax.attribution import (
    all_masks,
    curves,
    layer_curves,
    masked_logits,
    of_class,
    shapley,
    shapley_of_class,
    shapley_values,
    subsets,
)
from laya_jax.attribution.subsets import arrays_of
from tests.attribution.conftest import CLASSES, LAYERS, SAMPLES, drawn


def alone(explanation, kept):
    """The logits with some layers only, by hand in float64."""
    kept = list(kept)
    if not kept:
        return np.broadcast_to(explanation.bias, (SAMPLES, CLASSES))
    attention = softmax(explanation.scores[:, kept], axis=1)
    return explanation.bias + np.einsum("nl,nlk->nk", attention, explanation.votes[:, kept])


def test_shapley_values_are_the_mean_gain_over_all_orders(explanation):
    expected = np.zeros((SAMPLES, LAYERS, CLASSES))
    orders = list(permutations(range(LAYERS)))
    for order in orders:
        for place, layer in enumerate(order):
            before, after = alone(explanation, order[:place]), alone(explanation, order[: place + 1])
            expected[:, layer] += (after - before) / len(orders)
    found = shapley_values(explanation)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    assert found.errors is None


def test_shapley_values_sum_to_the_logits(explanation):
    total = shapley_values(explanation).values.sum(axis=1)
    np.testing.assert_allclose(total, explanation.logits - explanation.bias, atol=1e-5)


def test_layers_that_say_the_same_share_alike(indifferent):
    values = shapley_values(indifferent).values
    np.testing.assert_allclose(values, indifferent.votes / LAYERS, atol=1e-5)


def test_a_layer_that_nobody_listens_to_gets_nothing_but_what_it_says_when_alone(one_layer):
    values = shapley_values(one_layer).values
    # The other layers say nothing: where one of them is alone with the third, the third decides.
    np.testing.assert_allclose(values[:, 2], one_layer.votes[:, 2], atol=1e-5)
    np.testing.assert_allclose(np.delete(values, 2, axis=1), 0, atol=1e-6)


def test_sampled_shapley_values_are_near_the_exact_ones_by_their_own_error(monkeypatch):
    explanation = drawn(samples=20, layers=13)
    exact = shapley_values(explanation)
    assert exact.errors is None
    monkeypatch.setattr(shapley, "EXHAUSTIVE", 12)
    sampled = shapley_values(explanation, orders=50, seed=3)
    np.testing.assert_allclose(sampled.values.sum(axis=1), exact.values.sum(axis=1), atol=1e-4)
    distance = np.abs(sampled.values - exact.values) / sampled.errors
    assert 0.6 < np.mean(distance < 1) < 0.76  # 0.68 of a normal distribution is within one deviation
    assert np.mean(distance < 3) > 0.985


def test_shapley_values_of_one_class_have_errors_of_their_own(monkeypatch):
    explanation, chosen = drawn(samples=20, layers=13), np.arange(20) % CLASSES
    exact = shapley_of_class(explanation, chosen)
    expected = of_class(shapley_values(explanation).values, chosen)
    np.testing.assert_allclose(exact.values, expected, atol=1e-5)
    assert exact.errors is None
    monkeypatch.setattr(shapley, "EXHAUSTIVE", 12)
    sampled = shapley_of_class(explanation, chosen, orders=50, seed=3)
    np.testing.assert_allclose(
        sampled.values, of_class(shapley_values(explanation, orders=50, seed=3).values, chosen), atol=1e-5
    )
    distance = np.abs(sampled.values - exact.values) / sampled.errors
    assert 0.6 < np.mean(distance < 1) < 0.76


def test_exact_shapley_values_of_fourteen_layers_and_a_thousand_classes_are_taken_in_parts():
    explanation = drawn(samples=2, layers=14, classes=1000)
    values, errors = shapley_values(explanation)
    assert errors is None
    np.testing.assert_allclose(values.sum(axis=1), explanation.logits - explanation.bias, atol=1e-4)


def test_too_few_orders_are_refused():
    explanation = drawn(samples=2, layers=15)
    with pytest.raises(ValueError, match="orders is 1, expected at least 2"):
        shapley_values(explanation, orders=1)
    with pytest.raises(ValueError, match="orders is 0, expected at least 1"):
        layer_curves(explanation, orders=0)


def test_samples_are_taken_in_parts_where_memory_is_short(explanation, monkeypatch):
    whole = shapley_values(explanation).values, layer_curves(explanation)
    monkeypatch.setattr(subsets, "LARGEST", 7 * 2**LAYERS * LAYERS)
    parts = shapley_values(explanation).values, layer_curves(explanation)
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-6)
    np.testing.assert_allclose(parts[1].best.only, whole[1].best.only, atol=1e-6)


def test_curves_are_those_of_a_search_by_hand(explanation):
    predicted = np.argmax(explanation.logits, axis=1)
    rows = np.arange(SAMPLES)

    def probability(kept):
        return softmax(alone(explanation, kept), axis=1)[rows, predicted]

    curves = layer_curves(explanation)
    assert curves.full == pytest.approx(probability(range(LAYERS)).mean(), abs=1e-6)
    for size in range(1, LAYERS):
        sets = np.array([probability(kept) for kept in combinations(range(LAYERS), size)])
        assert curves.random.only[size - 1] == pytest.approx(sets.mean(), abs=1e-6)
        assert curves.best.only[size - 1] == pytest.approx(sets.max(axis=0).mean(), abs=1e-6)
        assert curves.random.without[LAYERS - size - 1] == pytest.approx(sets.mean(), abs=1e-6)
        assert curves.best.without[LAYERS - size - 1] == pytest.approx(sets.min(axis=0).mean(), abs=1e-6)
    ranked = np.argsort(-explanation.attention, axis=1)
    for size in range(1, LAYERS):
        only = [probability(ranked[row, :size])[row] for row in rows]
        without = [probability(ranked[row, size:])[row] for row in rows]
        assert curves.attention.only[size - 1] == pytest.approx(np.mean(only), abs=1e-6)
        assert curves.attention.without[size - 1] == pytest.approx(np.mean(without), abs=1e-6)


def test_attention_to_the_one_layer_that_counts_is_as_good_as_the_best_sets(one_layer):
    curves = layer_curves(one_layer)
    assert curves.comprehensiveness_score == pytest.approx(1, abs=1e-4)
    assert curves.sufficiency_score == pytest.approx(1, abs=1e-4)
    assert curves.comprehensiveness == pytest.approx(curves.full - 1 / CLASSES, abs=1e-4)
    assert curves.sufficiency == pytest.approx(0, abs=1e-6)


def test_attention_to_another_layer_than_the_one_that_counts_is_worse_than_chance(one_layer):
    scores = np.full((SAMPLES, LAYERS), 2.0)
    scores[:, 2] = 1.0
    curves = layer_curves(one_layer._replace(scores=scores))
    assert curves.comprehensiveness_score < 0
    assert curves.sufficiency_score < 0


def test_nothing_is_scored_where_every_set_of_layers_predicts_the_same(indifferent):
    curves = layer_curves(indifferent)
    assert curves.comprehensiveness_score is None
    assert curves.sufficiency_score is None
    assert curves.comprehensiveness == pytest.approx(0, abs=1e-6)


def test_a_greedy_search_beats_random_sets_where_there_are_many_layers():
    curves = layer_curves(drawn(samples=30, layers=13), orders=20)
    assert len(curves.attention.only) == 12
    assert np.all(curves.best.only > curves.random.only)
    assert np.all(curves.best.without < curves.random.without)


def test_greedy_and_exhaustive_search_agree_on_one_layer(explanation, monkeypatch):
    exhaustive = layer_curves(explanation)
    monkeypatch.setattr(subsets, "EXHAUSTIVE", 2)
    greedy = layer_curves(explanation, orders=400)
    assert greedy.best.only[0] == pytest.approx(exhaustive.best.only[0], abs=1e-6)
    assert greedy.best.without[0] == pytest.approx(exhaustive.best.without[0], abs=1e-6)
    np.testing.assert_allclose(greedy.random.only, exhaustive.random.only, atol=0.02)


def test_masks_are_all_sets():
    masks = all_masks(3)
    assert masks.shape == (8, 3)
    assert len({tuple(mask) for mask in masks}) == 8


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("classes", [1, 2])
def test_few_layers_classes_and_samples(layers, classes):
    explanation = drawn(samples=1, layers=layers, classes=classes)
    values = shapley_values(explanation).values
    np.testing.assert_allclose(values.sum(axis=1), explanation.logits - explanation.bias, atol=1e-5)
    curves = layer_curves(explanation)
    assert np.isfinite([curves.full, curves.comprehensiveness, curves.sufficiency]).all()
    assert masked_logits(explanation, all_masks(layers)).shape == (2**layers, 1, classes)


def test_products_that_promise_to_be_exact_are_so_on_a_tpu(explanation):
    given, masks = arrays_of(explanation), all_masks(LAYERS)
    exact = (
        (curves._by_size, masks.sum(axis=1)),
        (shapley._exact_shapley, shapley._shapley_weights(LAYERS)),
    )
    for function, more in exact:
        found = precisions_on_tpu(function, *given, masks, more)
        assert set(found) == {"HIGHEST"}
        assert len(found) >= 2
    assert set(precisions_on_tpu(shapley._sampled_shapley, *given, masks[:, ::-1].argsort())) == {"HIGHEST"}
