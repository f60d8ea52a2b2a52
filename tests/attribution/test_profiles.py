import json
from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from laya_jax.attribution import (
    accuracy_over_depth,
    centred_correlation,
    contribution_shares,
    effective_depth,
    entropy,
    jensen_shannon,
    mutual_information,
    profile_overlap,
    profiles,
    randomizations,
    similarity,
    stability,
)
from tests.attribution.conftest import CLASSES, LAYERS, SAMPLES, drawn


def test_profiles_are_means_over_groups(explanation):
    attention, generator = explanation.attention, np.random.default_rng(0)
    labels, predicted = generator.integers(0, CLASSES, (2, SAMPLES))
    found = profiles(attention, labels, predicted, CLASSES)
    np.testing.assert_allclose(found.mean, attention.mean(axis=0))
    for group, chosen in ((found.correct, labels == predicted), (found.wrong, labels != predicted)):
        for label in range(CLASSES):
            mine = chosen & (labels == label)
            assert group.samples[label] == mine.sum()
            np.testing.assert_allclose(group.attention[label], attention[mine].mean(axis=0))


def test_classes_without_samples_are_told_apart(explanation):
    labels = np.zeros(SAMPLES, int)
    found = profiles(explanation.attention, labels, labels, CLASSES)
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["all"]["by_class"][1:] == [None, None]
    assert written["wrong"] == {"examples": [0, 0, 0], "by_class": [None, None, None]}


def test_a_collapse_and_a_global_mix_tell_nothing_about_the_sample(one_layer, uniform):
    for explanation, depth in ((one_layer, 1), (uniform, LAYERS)):
        labels = np.zeros(SAMPLES, int)
        found = profiles(explanation.attention, labels, labels, CLASSES)
        assert found.mutual_information == pytest.approx(0, abs=1e-9)
        assert found.effective_depth == pytest.approx(depth)
        assert found.sample_depth == pytest.approx(depth)


def test_a_layer_for_each_sample_tells_all():
    attention = np.eye(4)
    assert mutual_information(attention) == pytest.approx(2)
    assert effective_depth(attention.mean(axis=0)) == pytest.approx(4)
    assert effective_depth(attention) == pytest.approx(1)


def test_entropy_and_divergence_are_scipys(explanation):
    attention, other = explanation.attention, drawn(seed=1).attention
    np.testing.assert_allclose(entropy(attention), stats.entropy(attention, axis=1))
    expected = [distance.jensenshannon(*pair, base=2) ** 2 for pair in zip(attention, other, strict=True)]
    np.testing.assert_allclose(jensen_shannon(attention, other), expected)


def test_the_same_attention_is_the_same_and_another_is_not(explanation):
    attention = explanation.attention
    same = similarity(attention, attention)
    assert (same.same_top_layer, same.divergence) == (1, 0)
    assert same.centred_correlation == pytest.approx(1)
    other = similarity(attention, drawn(seed=1).attention)
    assert abs(other.centred_correlation) < 0.3
    assert other.divergence > 0.05


def test_a_correlation_is_centred_by_layer(explanation):
    # Both put most on the last layer, always: that alone is no agreement on the samples.
    attention = explanation.attention / 10 + np.array([0, 0, 0, 0.9])
    other = drawn(seed=1).attention / 10 + np.array([0, 0, 0, 0.9])
    assert np.corrcoef(attention.ravel(), other.ravel())[0, 1] > 0.9
    assert abs(centred_correlation(attention, other)) < 0.3


@pytest.mark.parametrize("name", ["one_layer", "uniform"])
def test_seeds_that_treat_all_samples_alike_have_no_correlation(name, request):
    attention = request.getfixturevalue(name).attention.astype(np.float32)
    found = stability([attention, attention + np.float32(1e-8)])
    assert found.between.centred_correlation is None
    assert found.between.same_top_layer == found.chance.same_top_layer


def test_stability_is_a_mean_over_pairs_beside_chance(explanation):
    attention, other = explanation.attention, drawn(seed=1).attention
    found = stability([attention, attention, other])
    pairs = [similarity(attention, attention), *[similarity(attention, other)] * 2]
    assert found.runs == 3
    assert found.between.same_top_layer == pytest.approx(np.mean([pair.same_top_layer for pair in pairs]))
    assert found.between.divergence == pytest.approx(np.mean([pair.divergence for pair in pairs]))
    assert abs(found.chance.centred_correlation) < 0.3


@pytest.mark.parametrize("shapes", [[(3, 2)], [(3, 2), (3, 4)]])
def test_runs_that_cannot_be_compared_are_refused(shapes):
    with pytest.raises(ValueError, match="attentions have the shapes"):
        stability([np.full(shape, 1 / shape[1]) for shape in shapes])


def test_parameters_are_made_random_part_by_part():
    def tree(value):
        return {
            "head": {
                name: {"kernel": value}
                for name in ("adapter_0", "adapter_1", "scorer_hidden", "psi_0", "classifier")
            },
            "backbone": {name: {"kernel": value} for name in ("embedding", "forward_0", "forward_1")},
        }

    found = dict(randomizations(tree(1), tree(0)))
    assert list(found) == [
        "scorer",
        "adapters",
        "scorer and adapters",
        "backbone from h2",
        "backbone from h1",
        "whole backbone",
    ]

    def random(part):
        return sorted(
            f"{section}/{name}"
            for section, modules in found[part].items()
            for name, leaves in modules.items()
            if leaves["kernel"] == 0
        )

    assert random("scorer") == ["head/psi_0", "head/scorer_hidden"]
    assert random("adapters") == ["head/adapter_0", "head/adapter_1"]
    assert random("backbone from h2") == ["backbone/forward_1"]
    assert random("whole backbone") == ["backbone/embedding", "backbone/forward_0", "backbone/forward_1"]


def test_shares_of_contributions_count_what_a_layer_says_of_all_classes(explanation, one_layer, uniform):
    shares = contribution_shares(explanation)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    same_for_all = explanation._replace(votes=explanation.votes + np.ones((1, LAYERS, 1)) * 7)
    np.testing.assert_allclose(contribution_shares(same_for_all), shares, atol=1e-9)
    assert contribution_shares(one_layer)[:, 2] == pytest.approx(1)
    silent = uniform._replace(votes=np.zeros((SAMPLES, LAYERS, CLASSES)))
    np.testing.assert_array_equal(contribution_shares(silent), 1 / LAYERS)


def test_accuracy_over_depth_ends_with_that_of_the_whole_head(explanation):
    labels = np.arange(SAMPLES) % CLASSES
    found = accuracy_over_depth(explanation, labels)
    assert found.first[0] == found.alone[0]
    assert found.first[-1] == np.mean(np.argmax(explanation.logits, axis=1) == labels)
    lens = np.argmax(explanation.lens, axis=2)
    np.testing.assert_array_equal(found.alone, np.mean(lens == labels[:, None], axis=0))


def test_the_chance_of_an_overlap_is_the_mean_over_all_permutations():
    first, second = np.random.default_rng(0).dirichlet(np.ones(LAYERS), 2)
    found = profile_overlap([first, second])
    by_hand = [np.minimum(first, second[list(order)]).sum() for order in permutations(range(LAYERS))]
    assert found.between == pytest.approx(by_hand[0])
    assert found.chance == pytest.approx(np.mean(by_hand))
    with pytest.raises(ValueError, match="profiles have the shapes"):
        profile_overlap([first])
