import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, f1_score, log_loss

from laya_jax.engine import metrics


@pytest.fixture
def predictions():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(500, 7)) * 3
    labels = np.where(generator.random(500) < 0.6, logits.argmax(axis=1), generator.integers(0, 7, 500))
    attention = generator.dirichlet([1, 2, 3], 500)
    return logits, attention, labels


def test_metrics_agree_with_scikit_learn(predictions):
    logits, attention, labels = predictions
    measured = metrics.measure(logits, attention, labels)
    predicted = logits.argmax(axis=1)
    assert measured.examples == 500
    assert measured.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert measured.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert measured.loss == pytest.approx(log_loss(labels, np.exp(log_softmax(logits, axis=1))))
    assert measured.attention == pytest.approx(attention.mean(axis=0))


def test_a_class_that_does_not_occur_has_no_part_in_macro_f1():
    predicted, labels = np.array([0, 0, 2]), np.array([0, 2, 2])
    assert metrics.macro_f1(predicted, labels, 4) == pytest.approx(
        f1_score(labels, predicted, average="macro")
    )


def test_logits_of_any_size_give_a_finite_loss():
    logits = np.array([[1e4, 0.0], [0.0, -1e4]])
    assert metrics.cross_entropy(logits, np.array([0, 0])) == 0
    assert metrics.cross_entropy(logits, np.array([1, 1])) == 1e4
    assert np.isfinite(metrics.softmax(logits)).all()


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    confident = np.array([[0.9, 0.1]] * 10)
    right_nine_times = np.array([0] * 9 + [1])
    assert metrics.calibration_error(confident, right_nine_times) == pytest.approx(0)
    assert metrics.calibration_error(confident, np.zeros(10, int)) == pytest.approx(0.1)
    assert metrics.calibration_error(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(1)


def test_gaps_of_different_bins_do_not_cancel():
    probabilities = np.array([[0.6, 0.4], [0.95, 0.05]])
    labels = np.array([0, 1])  # 0.4 too little in one bin, 0.95 too much in the other
    assert metrics.calibration_error(probabilities, labels) == pytest.approx((0.4 + 0.95) / 2)


@pytest.mark.parametrize(
    ("attention", "depth"), [([1.0, 0.0, 0.0], 1), ([1 / 3] * 3, 3), ([0.5, 0.0, 0.5], 2), ([1.0], 1)]
)
def test_effective_depth_counts_the_layers_in_use(attention, depth):
    assert metrics.effective_depth(np.array(attention)) == pytest.approx(depth)


def test_a_head_without_attention_has_no_depth(predictions):
    logits, _, labels = predictions
    measured = metrics.measure(logits, None, labels)
    assert measured.effective_depth is None
    assert measured.attention is None
