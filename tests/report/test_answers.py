import copy

import pytest

from laya_jax.report import stability
from laya_jax.report.answers import answer


@pytest.fixture
def numbers(measured):
    """Numbers of a run, to change."""
    return copy.deepcopy(measured().numbers)


def across(overlap, chance, correlation=0.7):
    """Stability over two runs with a given overlap of the profiles."""
    likeness = {"same_top_layer": 0.8, "centred_correlation": correlation, "divergence": 0.1}
    found = {"runs": 2, "between": likeness, "chance": likeness}
    found["overlap"] = {"between": overlap, "chance": chance}
    return {**found, "contributions": found}


def test_the_layers_named_are_those_that_make_up_half_of_the_profile(numbers):
    numbers["contribution_profiles"] = {"mean": [0.1, 0.45, 0.3, 0.15], "deviation": [0] * 4}
    numbers["contribution_profiles"]["effective_depth"] = 3.4
    read = answer(numbers).contributions
    assert read.reads == "The head mainly reads layers 2 and 3 of 4: 75% of its contributions."
    assert not read.caution


def test_a_uniform_profile_names_no_layer_whatever_the_seeds(numbers):
    numbers["profiles"] = {"mean": [0.26, 0.25, 0.25, 0.24], "deviation": [0] * 4, "effective_depth": 3.998}
    read = answer(numbers, across(0.99, 0.98)).attention
    assert read.reads.startswith("On average, the head singles out no layer: its attention is nearly uniform")
    assert read.caution == "This profile does not distinguish layers."
    assert read.stable.verdict == "unknown"


@pytest.mark.parametrize(
    ("overlap", "verdict", "meaningful"),
    [(0.9, "supports", True), (0.7, "mixed", True), (0.5, "against", False)],
)
def test_a_profile_that_overlaps_as_by_chance_is_not_meaningful(numbers, overlap, verdict, meaningful):
    read = answer(numbers, across(overlap, 0.5)).contributions
    assert (read.stable.verdict, not read.caution) == (verdict, meaningful)
    assert f"overlap by {overlap:.0%} (50% by chance)" in read.stable.sentence


@pytest.mark.parametrize(
    ("top", "others", "score", "verdict"),
    [
        (0.3, 0.1, 0.8, "supports"),
        (0.3, 0.1, None, "supports"),
        (0.3, 0.1, 0.3, "mixed"),
        (0.15, 0.1, 0.8, "mixed"),
        (0.3, 0.1, 0.05, "against"),
        (0.1, 0.1, 0.8, "against"),
    ],
)
def test_deletion_and_the_curve_must_both_be_faithful(numbers, top, others, score, verdict):
    measured = numbers["faithfulness"]
    measured["contributions"] = {"flips_without_top_layer": top, "flips_without_another_layer": others}
    measured["curves"]["contributions"]["comprehensiveness_score"] = score
    found = answer(numbers).contributions.faithful
    assert found.verdict == verdict
    assert f"{top:.0%} of predictions change" in found.sentence
    assert ("comprehensiveness" in found.sentence) == (score is not None)


def test_what_is_specific_to_an_example_is_judged_apart_from_the_profile(numbers):
    read = answer(numbers, across(0.9, 0.5, correlation=0.1)).contributions
    assert (read.stable.verdict, read.specific.verdict) == ("supports", "against")
    assert "little more than by chance" in read.specific.sentence
    assert len(read.measured) == 3


@pytest.mark.slow
def test_runs_are_compared_by_contributions_as_by_attention(measured):
    found = stability([measured(), measured("laya", 1)])
    for each in (found, found["contributions"]):
        assert 0 <= each["overlap"]["chance"] <= 1
        assert 0 <= each["between"]["same_top_layer"] <= 1
    assert found["contributions"]["overlap"] != found["overlap"]


def test_a_head_that_is_solved_for_needs_no_seeds(numbers):
    numbers["solved"] = True
    read = answer(numbers, across(0.5, 0.4)).contributions
    assert "no seed is involved" in read.stable.sentence
    assert read.stable.verdict == "unknown"
    assert len(read.measured) == 2
