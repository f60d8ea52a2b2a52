"""Solutions of the kernel head: unique, and equal to what other methods find."""

import itertools

import jax
import numpy as np
import pytest
from kernel_problems import problem
from scipy.sparse.linalg import cg

from laya_jax.kernels import KERNELS, fit_kernel_head, predict_in_blocks
from laya_jax.kernels.bases import basis_for
from laya_jax.kernels.similarity import kernel_matrix
from laya_jax.kernels.standardizing import standardization_of, standardized


def expected(states, values, kernel, penalty, others):
    """Outputs by the equations, in float64 and without this library."""

    def read(states, moments=None):
        normal = [(s - s.mean(1, keepdims=True)) / s.std(1, keepdims=True) for s in map(np.float64, states)]
        moments = moments or [(s.mean(0), s.std(0) * s.shape[1] ** 0.5) for s in normal]
        return [(s - mean) / scale for s, (mean, scale) in zip(normal, moments, strict=True)], moments

    def similar(left, right):
        distances = [((a[:, None] - b) ** 2).sum(2) for a, b in zip(left, right, strict=True)]
        products = [a @ b.T for a, b in zip(left, right, strict=True)]
        gate = np.exp(-np.mean(distances, axis=0) / 2)
        return {
            "gated": gate * np.mean(products, axis=0),
            "additive": np.mean(np.exp(-np.array(distances) / 2), axis=0),
            "linear": np.mean(products, axis=0),
        }[kernel]

    x, moments = read(states)
    matrix, number = similar(x, x), len(values)
    centre = np.eye(number) - 1 / number
    centred = centre @ matrix @ centre
    system = centred + penalty * np.trace(centred) / number * np.eye(number)
    weights = centre @ np.linalg.solve(system, centre @ values)
    bias = (values - matrix @ weights).mean(0)
    return similar(read(others, moments)[0], x) @ weights + bias


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("number", [10, 40])
def test_the_outputs_are_those_of_the_equations(kernel, number):
    states, labels = problem(number)
    others, _ = problem(9, seed=1)
    fit = fit_kernel_head(states, labels, kernel=kernel, penalties=[0.3])
    outputs = predict_in_blocks(fit.head, others).logits * fit.best.temperature
    np.testing.assert_allclose(
        outputs, expected(states, np.eye(3)[labels], kernel, 0.3, others), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_permuted_rows_and_conjugate_gradients_give_the_same_contributions(kernel):
    states, labels = problem(60)
    order = np.random.default_rng(1).permutation(60)
    head = fit_kernel_head(states, labels, kernel=kernel, penalties=[0.1]).head
    again = fit_kernel_head(
        tuple(state[order] for state in states), labels[order], kernel=kernel, penalties=[0.1]
    ).head
    first, second = (predict_in_blocks(each, states).contributions for each in (head, again))
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4 * np.abs(first).max())
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.9999
    x = standardized(standardization_of(states), states)
    matrix = kernel_matrix(kernel, x)
    centred = matrix - matrix.mean(0) - matrix.mean(1)[:, None] + matrix.mean()
    system = centred + 0.1 * np.trace(centred) / 60 * np.eye(60)
    values = np.eye(3)[labels] - 1 / 3
    weights = np.column_stack([cg(system, column, rtol=1e-10)[0] for column in values.T])
    logits = matrix @ weights + (np.eye(3)[labels] - matrix @ weights).mean(0)
    found = predict_in_blocks(head, states).logits
    ratio = np.std(logits) / np.std(found)
    np.testing.assert_allclose(found * ratio, logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_descent_converges_to_the_closed_form(kernel):
    states, labels = problem(20)
    values = np.eye(3)[labels]
    fit = fit_kernel_head(states, labels, kernel=kernel, penalties=[1.0])
    x = standardized(standardization_of(states), states)
    matrix = kernel_matrix(kernel, x)
    penalty = (np.trace(matrix) - matrix.sum() / 20) / 20
    factor = np.linalg.cholesky(matrix + 1e-6 * np.eye(20))
    weights, bias = np.zeros((20, 3)), np.zeros(3)
    step = 0.5 / (np.linalg.eigvalsh(matrix).max() + penalty + 20)
    for _ in range(4000):
        residual = factor @ weights + bias - values
        weights -= step * 2 * (factor.T @ residual + penalty * weights)
        bias -= step * 2 * residual.sum(0)
    logits = predict_in_blocks(fit.head, states).logits * fit.best.temperature
    np.testing.assert_allclose(logits, factor @ weights + bias, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "number", "landmarks"),
    [*itertools.product(KERNELS, (12, 30), (None,)), ("gated", 30, 8), ("additive", 30, 8)],
)
def test_leave_one_out_predictions_are_those_of_solutions_without_the_example(kernel, number, landmarks):
    states, labels = problem(number)
    x, values = standardized(standardization_of(states), states), np.eye(3)[labels]
    basis = basis_for(kernel, x, values, landmarks)
    held_out = basis.solve(0.2, held_out=True).held_out
    features = np.asarray(basis.features(x), np.float64)
    metric = features if type(basis).__name__ == "AllExamples" else np.eye(features.shape[1])
    centred = features - features.mean(0)
    scale = np.trace(centred if len(metric) == number else centred.T @ centred) / number
    for left_out in (0, 5):
        kept = np.arange(number) != left_out
        ones = np.column_stack([features[kept], np.ones(number - 1)])
        system = ones.T @ ones
        system[:-1, :-1] += 0.2 * scale * metric
        solved = np.linalg.lstsq(system, ones.T @ values[kept], rcond=1e-12)[0]
        predicted = features[left_out] @ solved[:-1] + solved[-1]
        np.testing.assert_allclose(held_out[left_out], predicted, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["gated", "additive"])
def test_landmarks_converge_to_the_exact_solution(kernel):
    states, labels = problem(60)
    others = problem(20, seed=1)
    exact = fit_kernel_head(states, labels, kernel=kernel, penalties=[0.3], validation=others)
    errors, lost = [], []
    for number in (8, 30, 60):
        fit = fit_kernel_head(
            states, labels, kernel=kernel, penalties=[0.3], validation=others, landmarks=number
        )
        assert fit.head.stored_examples == fit.approximation.landmarks <= number
        outputs = (
            predict_in_blocks(each.head, others[0]).logits * each.best.temperature for each in (fit, exact)
        )
        errors.append(np.abs(np.subtract(*outputs)).max())
        lost.append(fit.approximation.residual)
    assert all(a > b for a, b in itertools.pairwise(errors))
    assert all(a > b for a, b in itertools.pairwise(lost))
    assert errors[-1] < 1e-3
    assert lost[-1] < 1e-4


def test_landmarks_do_not_depend_on_the_order_of_the_examples():
    states, labels = problem(60)
    order = np.random.default_rng(1).permutation(60)
    heads = [
        fit_kernel_head(
            tuple(state[rows] for state in states), labels[rows], penalties=[0.3], landmarks=20
        ).head
        for rows in (np.arange(60), order)
    ]
    first, second = (predict_in_blocks(head, states).contributions for head in heads)
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-3 * np.abs(first).max())


def test_the_equations_are_solved_with_float64_without_turning_it_on():
    assert not jax.config.jax_enable_x64
    states, _ = problem(60)
    values = np.random.default_rng(0).normal(size=(60, 1))
    fit = fit_kernel_head(states, values, kernel="gated", penalties=[1e-4])
    outputs = predict_in_blocks(fit.head, states).logits
    # Almost interpolation, which float32 would miss.
    np.testing.assert_allclose(outputs, expected(states, values, "gated", 1e-4, states), atol=2e-3)
    assert not jax.config.jax_enable_x64
