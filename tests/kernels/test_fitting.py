"""Fitting of the kernel head: targets of every kind, calibration, the choice of the penalty, and files."""

import re

import numpy as np
import pytest
from kernel_problems import problem
from scipy.special import log_softmax

from laya_jax.kernels import fit_kernel_head, load_kernel_head, predict_in_blocks, save_kernel_head

STATES, LABELS = problem()


@pytest.mark.slow
def test_the_penalty_with_the_lowest_validation_loss_is_chosen_and_all_are_reported():
    others = problem(60, seed=1)
    fit = fit_kernel_head(STATES, LABELS, penalties=[1e-3, 0.3, 1e3], validation=others)
    assert [trial.penalty for trial in fit.trials] == [1e-3, 0.3, 1e3]
    assert fit.best == min(fit.trials, key=lambda trial: trial.loss)
    assert fit.held_out == "validation"
    logits = predict_in_blocks(fit.head, others[0]).logits
    loss = -np.mean(log_softmax(logits, axis=1)[np.arange(60), others[1]])
    np.testing.assert_allclose(loss, fit.best.loss, rtol=1e-4)
    assert fit.best.score == np.mean(logits.argmax(1) == others[1])


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_no_other_temperature_has_a_lower_loss(factor):
    others = problem(60, seed=1)
    fit = fit_kernel_head(STATES, LABELS, penalties=[0.3], validation=others)
    logits = factor * predict_in_blocks(fit.head, others[0]).logits
    assert -np.mean(log_softmax(logits, axis=1)[np.arange(60), others[1]]) > fit.best.loss


def test_numbers_are_regressed_on_without_a_temperature():
    values = 3 * STATES[1][:, :2] + 5
    fit = fit_kernel_head(STATES, values, kernel="linear")
    assert fit.best.temperature == 1
    outputs = predict_in_blocks(fit.head, STATES).logits
    assert outputs.shape == (40, 2)
    assert 0.2 < fit.best.score < 1 - np.mean((outputs - values) ** 2) / np.mean(values.var(0))
    single = fit_kernel_head(STATES, values[:, 1], kernel="linear", penalties=[fit.best.penalty])
    np.testing.assert_allclose(predict_in_blocks(single.head, STATES).logits, outputs[:, 1:], atol=1e-4)


def test_several_labels_have_a_logit_each_that_is_zero_where_both_are_as_likely():
    present = np.eye(3, dtype=bool)[LABELS] | np.eye(3, dtype=bool)[(LABELS + 1) % 3]
    fit = fit_kernel_head(STATES, present, penalties=[0.1])
    logits = predict_in_blocks(fit.head, STATES).logits
    assert np.mean((logits > 0) == present) > 0.9
    opposite = fit_kernel_head(STATES, ~present, penalties=[0.1])
    np.testing.assert_allclose(predict_in_blocks(opposite.head, STATES).logits, -logits, atol=1e-3)


def test_a_class_without_examples_keeps_its_place():
    fit = fit_kernel_head(STATES, LABELS, penalties=[0.3], num_classes=5)
    logits = predict_in_blocks(fit.head, STATES).logits
    assert logits.shape == (40, 5)
    assert set(logits.argmax(1)) == {0, 1, 2}


@pytest.mark.parametrize("kernel", ["gated", "linear"])
def test_a_head_comes_back_from_its_file(tmp_path, kernel):
    head = fit_kernel_head(STATES, LABELS, kernel=kernel, penalties=[0.3]).head
    save_kernel_head(head, tmp_path / "head.npz")
    again = load_kernel_head(tmp_path / "head.npz")
    assert again.kernel == kernel
    for first, second in zip(predict_in_blocks(head, STATES), predict_in_blocks(again, STATES), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_damaged_file_is_refused_by_name(tmp_path):
    path = tmp_path / "head.npz"
    save_kernel_head(fit_kernel_head(STATES, LABELS, penalties=[0.3]).head, path)
    content = bytearray(path.read_bytes())
    for change in (slice(0, 10), slice(len(content) // 2, len(content) // 2 + 4)):
        damaged = content.copy()
        damaged[change] = bytes(255 - byte for byte in damaged[change])
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(str(path)) + " cannot be read as a kernel head"):
            load_kernel_head(path)


def test_a_changed_number_is_noticed_by_the_checksum(tmp_path):
    path = tmp_path / "head.npz"
    save_kernel_head(fit_kernel_head(STATES, LABELS, penalties=[0.3]).head, path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(path, **{**arrays, "bias": arrays["bias"] + 1})
    with pytest.raises(ValueError, match="its checksum differs"):
        load_kernel_head(path)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel": "gaussian"}, ValueError, "kernel is 'gaussian', expected one of 'gated'"),
        ({"penalties": []}, ValueError, "penalties is empty"),
        ({"penalties": [0.1, 0.0]}, ValueError, r"penalties\[1\] is 0.0, expected a number greater than 0"),
        ({"penalties": 0.1}, TypeError, "penalties is 0.1, expected a sequence"),
        ({"targets": LABELS[:-1]}, ValueError, r"targets has shape \(39,\).* each of 40 examples"),
        ({"targets": LABELS - 1}, ValueError, "targets include -1, expected classes from 0"),
        (
            {"targets": LABELS, "num_classes": 2},
            ValueError,
            "targets include 2, expected classes from 0 to 1",
        ),
        ({"targets": np.full(40, np.nan)}, ValueError, "targets has values that are not finite"),
        ({"targets": LABELS.astype(str)}, TypeError, "targets has dtype <U"),
        ({"landmarks": 0}, ValueError, "landmarks is 0"),
        ({"landmarks": 9, "kernel": "linear"}, ValueError, "landmarks is 9 for kernel 'linear'"),
        ({"hidden_states": []}, ValueError, "hidden_states is empty"),
        (
            {"hidden_states": (STATES[0], np.full((40, 2), np.inf, "f4"))},
            ValueError,
            r"hidden_states\[1\] has",
        ),
        ({"hidden_states": (np.ones((40, 2), "f4"),)}, ValueError, "hidden_states are the same for all"),
        ({"validation": (STATES[:2], LABELS)}, ValueError, r"widths \(7, 4\), expected \(7, 4, 6\)"),
        ({"validation": (STATES, LABELS + 1)}, ValueError, "validation targets include 3, expected"),
        ({"validation": (STATES, LABELS * 0.5)}, ValueError, "validation targets have dtype float64"),
        ({"validation": STATES}, TypeError, "expected a pair of hidden states and targets"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    given = {"hidden_states": STATES, "targets": LABELS, **arguments}
    with pytest.raises(error, match=message):
        fit_kernel_head(given.pop("hidden_states"), given.pop("targets"), **given)


def test_other_widths_than_those_of_training_are_refused():
    head = fit_kernel_head(STATES, LABELS, penalties=[0.3]).head
    with pytest.raises(ValueError, match=r"widths \(6, 4, 7\), expected \(7, 4, 6\)"):
        head(STATES[::-1])


def test_a_penalty_below_the_precision_of_the_kernel_is_refused():
    states = tuple(np.repeat(state, 20, axis=0) for state in STATES)
    with pytest.raises(ValueError, match="penalties include 1e-20, which is too small"):
        fit_kernel_head(states, np.repeat(LABELS, 20), kernel="additive", penalties=[1e-20])
