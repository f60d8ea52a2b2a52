import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from laya_jax.attribution import (
    by_name,
    class_profile,
    detection,
    label_suspicion,
    precision_at,
    risk_coverage_area,
    uncertainty,
)
from tests.attribution.conftest import CLASSES, SAMPLES, drawn


def scores_and_truth(ties):
    generator = np.random.default_rng(0)
    positive = generator.random(300) < 0.3
    scores = generator.normal(size=300) + positive
    return (np.round(scores, 1) if ties else scores), positive


@pytest.mark.parametrize("ties", [False, True])
def test_areas_and_rates_are_scikit_learns(ties):
    scores, positive = scores_and_truth(ties)
    found = detection(scores, positive)
    assert found.auroc == pytest.approx(roc_auc_score(positive, scores))
    false_positives, true_positives, _ = roc_curve(positive, scores, drop_intermediate=False)
    expected = false_positives[np.argmax(true_positives >= 0.95)]
    assert found.false_positive_rate == pytest.approx(expected)


def test_the_area_under_risk_and_coverage_is_a_mean_of_risks():
    scores, positive = scores_and_truth(ties=False)
    order = np.argsort(scores)
    expected = np.mean([positive[order[:number]].mean() for number in range(1, 301)])
    assert risk_coverage_area(scores, positive) == pytest.approx(expected)


def test_scores_that_are_all_alike_say_nothing():
    positive = np.array([True, False, False, True])
    found = detection(np.zeros(4), positive)
    assert found.auroc == 0.5
    assert found.false_positive_rate == 1
    assert found.risk_coverage_area == 0.5


@pytest.mark.parametrize("positive", [np.zeros(3, bool), np.ones(3, bool)])
def test_there_is_nothing_to_tell_apart_in_one_kind(positive):
    found = detection(np.arange(3.0), positive)
    assert (found.auroc, found.false_positive_rate) == (None, None)
    assert found.risk_coverage_area == positive.mean()


def test_uncertainty_is_high_where_layers_disagree():
    # Two layers: in the first sample they agree, in the second they do not.
    explanation = drawn(samples=2, layers=2, classes=2)._replace(
        scores=np.log([[0.9, 0.1], [0.5, 0.5]]),
        votes=np.array([[[3.0, 0.0], [3.0, 0.0]], [[3.0, 0.0], [0.0, 2.9]]]),
        bias=np.zeros(2),
    )
    found = uncertainty(explanation.logits, explanation)
    for name in ("max_softmax", "energy", "attention_entropy", "contribution_conflict", "lens_disagreement"):
        assert getattr(found, name)[1] > getattr(found, name)[0], name
    assert found.contribution_conflict[0] == pytest.approx(0)
    np.testing.assert_allclose(found.lens_disagreement, [0, 0.5])


def test_the_distance_to_a_profile_is_that_of_the_predicted_class(explanation):
    predicted = np.argmax(explanation.logits, axis=1)
    attention = explanation.attention
    own = class_profile(attention, predicted, CLASSES)
    given = uncertainty(explanation.logits, explanation, own).profile_distance
    np.testing.assert_allclose(given, uncertainty(explanation.logits, explanation).profile_distance)
    exact = own._replace(attention=np.tile(attention[0], (CLASSES, 1)))
    assert uncertainty(explanation.logits, explanation, exact).profile_distance[0] == pytest.approx(0)


def test_without_an_explanation_there_are_the_scores_of_the_logits(explanation):
    assert set(by_name(uncertainty(explanation.logits))) == {"max_softmax", "energy"}
    assert set(by_name(label_suspicion(explanation.logits, np.zeros(SAMPLES, int)))) == {"self_confidence"}


def test_wrong_labels_are_suspicious(explanation):
    labels = np.argmax(explanation.logits, axis=1)
    wrong = np.zeros(SAMPLES, bool)
    wrong[:8] = True
    labels[wrong] = (labels[wrong] + 1) % CLASSES
    found = label_suspicion(explanation.logits, labels, explanation)
    assert precision_at(found.self_confidence, wrong, number=8) == 1
    assert detection(found.opposing_layers, wrong).auroc > 0.9
    assert set(by_name(found)) == {"self_confidence", "profile_distance", "opposing_layers"}


def test_one_class_one_layer_one_sample():
    explanation = drawn(samples=1, layers=1, classes=1)
    for values in uncertainty(explanation.logits, explanation):
        assert np.isfinite(values).all()
    for values in label_suspicion(explanation.logits, np.zeros(1, int), explanation):
        assert np.isfinite(values).all()
