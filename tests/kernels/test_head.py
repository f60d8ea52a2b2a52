"""The kernel head as a function of hidden states: sums, symmetries, masks and transformations of JAX."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_problems import WIDTHS, problem

from laya_jax import HeadOutput
from laya_jax.kernels import KERNELS, fit_kernel_head, predict_in_blocks
from laya_jax.kernels.head import shares

STATES, LABELS = problem()


@cache
def fitted(kernel):
    """Head fitted to the states."""
    return fit_kernel_head(STATES, LABELS, kernel=kernel, penalties=[0.3]).head


def output_of(kernel, states):
    """Output of a head that is fitted to other states."""
    return predict_in_blocks(fit_kernel_head(states, LABELS, kernel=kernel, penalties=[0.3]).head, states)


@pytest.mark.parametrize("kernel", KERNELS)
def test_contributions_sum_to_the_logits_and_shares_to_one(kernel):
    head = fitted(kernel)
    output = predict_in_blocks(head, STATES)
    assert isinstance(output, HeadOutput)
    assert output.contributions.shape == (40, 3, 3)
    np.testing.assert_allclose(
        output.contributions.sum(1) + np.asarray(head.bias), output.logits, rtol=1e-6, atol=1e-6
    )
    lengths = np.linalg.norm(output.contributions, axis=2)
    np.testing.assert_allclose(output.attention, lengths / lengths.sum(1, keepdims=True), rtol=1e-5)
    assert head.stored_examples == (0 if kernel == "linear" else 40)


@pytest.mark.parametrize("kernel", KERNELS)
def test_permuted_layers_permute_the_contributions(kernel):
    order = [2, 0, 1]
    first = predict_in_blocks(fitted(kernel), STATES)
    second = output_of(kernel, tuple(STATES[i] for i in order))
    scale = np.abs(first.contributions).max()
    np.testing.assert_allclose(first.contributions[:, order], second.contributions, atol=1e-4 * scale)
    np.testing.assert_allclose(first.attention[:, order], second.attention, atol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_duplicated_layer_splits_its_contribution_evenly(kernel):
    contributions = output_of(kernel, (*STATES, STATES[1])).contributions
    np.testing.assert_allclose(contributions[:, 1], contributions[:, 3], rtol=1e-5, atol=1e-6)
    assert np.abs(contributions[:, 1]).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
def test_jit_vmap_and_blocks_change_nothing(kernel):
    head = fitted(kernel)
    output = jax.jit(lambda head, states: head(states))(head, STATES)
    single = jax.jit(jax.vmap(head))(tuple(state[:, None] for state in STATES))
    others = (
        jax.tree.map(lambda array: array[:, 0], single),
        predict_in_blocks(head, STATES, block=16),
        predict_in_blocks(head, STATES),
    )
    for other in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), output, other)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_masked_layer_contributes_nothing_and_attention_is_renormalised(kernel):
    head, mask = fitted(kernel), np.array([True, False, True])
    whole, output = predict_in_blocks(head, STATES), jax.jit(lambda states: head(states, mask))(STATES)
    np.testing.assert_array_equal(output.contributions[:, 1], 0)
    np.testing.assert_array_equal(output.attention[:, 1], 0)
    kept = np.sum(whole.attention, axis=1, where=mask)[:, None]
    np.testing.assert_allclose(output.attention, np.where(mask, whole.attention, 0) / kept, rtol=1e-5)
    expected = np.asarray(head.bias) + np.sum(whole.contributions, axis=1, where=mask[:, None]) / kept
    np.testing.assert_allclose(output.logits, expected, rtol=1e-4, atol=1e-6)
    by_sample = jax.jit(lambda states: head(states, np.tile(mask, (40, 1))))(STATES)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), output, by_sample)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_is_that_of_finite_differences(kernel):
    head, generator = fitted(kernel), np.random.default_rng(0)
    direction = [generator.normal(size=(1, width)).astype("f4") for width in WIDTHS]

    def along(step):
        moved = [state[:1] + step * towards for state, towards in zip(STATES, direction, strict=True)]
        output = head(moved)
        return output.logits[0, 1] + output.attention[0, 0]

    along_and_slope = jax.jit(jax.value_and_grad(along))
    slope = (along_and_slope(0.01)[0] - along_and_slope(-0.01)[0]) / 0.02
    np.testing.assert_allclose(along_and_slope(0.0)[1], slope, rtol=0.02, atol=1e-3)


def test_the_gradient_is_finite_where_no_layer_contributes():
    zeros = jnp.zeros((1, 2, 3))
    assert np.isfinite(jax.jit(jax.grad(lambda each: shares(each)[0, 0]))(zeros)).all()


def test_a_constant_layer_contributes_nothing():
    output = output_of("gated", (np.ones_like(STATES[0]) * np.arange(7.0, dtype="f4"), *STATES[1:]))
    np.testing.assert_array_equal(output.contributions[:, 0], 0)
    assert np.isfinite(output.logits).all()


def test_hidden_states_of_low_precision_are_read_in_float32():
    low = [jnp.asarray(state, jnp.bfloat16) for state in STATES]
    output = predict_in_blocks(fitted("gated"), low)
    assert output.logits.dtype == np.float32
    widened = [np.asarray(state, np.float32) for state in low]
    np.testing.assert_array_equal(output.logits, predict_in_blocks(fitted("gated"), widened).logits)
