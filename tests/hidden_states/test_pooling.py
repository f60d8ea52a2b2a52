import jax
import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax import pool

TOKENS = jax.random.normal(jax.random.key(0), (3, 5, 4))
MASK = np.array([[True, True, True, False, False], [True] * 5, [False, True, False, True, False]])


@pytest.mark.parametrize(
    ("pooling", "of_one"),
    [
        ("mean", lambda tokens: tokens.mean(axis=0)),
        ("max", lambda tokens: tokens.max(axis=0)),
        ("last", lambda tokens: tokens[-1]),
        ("std", lambda tokens: tokens.std(axis=0)),
    ],
)
def test_masked_positions_are_passed_over(pooling, of_one):
    expected = [of_one(np.asarray(tokens)[mask]) for tokens, mask in zip(TOKENS, MASK, strict=True)]
    np.testing.assert_allclose(pool(TOKENS, pooling, MASK), expected, rtol=1e-5)
    disturbed = jnp.where(MASK[..., None], TOKENS, jnp.nan)
    np.testing.assert_allclose(jax.jit(pool, static_argnums=1)(disturbed, pooling, MASK), expected, rtol=1e-5)


def test_without_a_mask_all_positions_count():
    np.testing.assert_allclose(pool(TOKENS, "mean"), TOKENS.mean(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(pool(TOKENS, "max"), TOKENS.max(axis=1))
    np.testing.assert_array_equal(pool(TOKENS, "last"), TOKENS[:, -1])


def test_cls_is_the_first_token_whatever_the_mask():
    np.testing.assert_array_equal(pool(TOKENS, "cls", MASK), TOKENS[:, 0])


def test_feature_maps_are_pooled_over_space():
    maps = jax.random.normal(jax.random.key(0), (2, 3, 4, 5))
    np.testing.assert_allclose(pool(maps, "mean"), maps.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_array_equal(pool(maps, "max"), maps.max(axis=(1, 2)))


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "std"])
def test_a_sample_with_nothing_in_it_becomes_zeros_with_a_finite_gradient(pooling):
    mask = np.zeros((3, 5), bool)
    np.testing.assert_array_equal(pool(TOKENS, pooling, mask), np.zeros((3, 4)))
    gradient = jax.grad(lambda tokens: pool(tokens, pooling, mask).sum())(TOKENS)
    np.testing.assert_array_equal(gradient, np.zeros(TOKENS.shape))


@pytest.mark.parametrize("pooling", ["mean", "max", "cls", "last", "std"])
def test_what_is_pooled_already_stays_and_the_dtype_too(pooling):
    assert pool(TOKENS[:, 0], pooling) is not None
    np.testing.assert_array_equal(pool(TOKENS[:, 0], pooling), TOKENS[:, 0])
    assert pool(TOKENS.astype(jnp.bfloat16), pooling, MASK).dtype == jnp.bfloat16


@pytest.mark.slow
def test_the_gradient_of_a_deviation_of_zero_is_finite():
    gradient = jax.grad(lambda tokens: pool(tokens, "std").sum())(jnp.ones((1, 3, 2)))
    np.testing.assert_array_equal(gradient, np.zeros((1, 3, 2)))


def test_a_long_mean_in_bfloat16_is_summed_in_float32():
    np.testing.assert_array_equal(pool(jnp.ones((1, 4096, 1), jnp.bfloat16), "mean"), jnp.ones((1, 1)))


@pytest.mark.parametrize("pooling", ["mean", "max", "cls", "last", "std"])
def test_an_empty_batch_and_numpy_arrays_are_fine(pooling):
    assert pool(np.zeros((0, 5, 4)), pooling).shape == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((TOKENS, "avg"), ValueError, "pooling is 'avg', expected one of 'mean', 'max', 'cls', 'last'"),
        ((TOKENS[0, 0], "mean"), ValueError, r"hidden_state has shape \(4,\)"),
        ((TOKENS[:, :0], "mean"), ValueError, "at least one position"),
        ((TOKENS[..., None], "cls"), ValueError, r"\[batch, token, width\] for pooling 'cls'"),
        ((TOKENS, "mean", MASK[:, :2]), ValueError, r"mask has shape \(3, 2\), expected \(3, 5\)"),
        (([[1.0]], "mean"), TypeError, "hidden_state is a list"),
        ((jnp.ones((2, 3, 4), "int32"), "max"), TypeError, "hidden_state has dtype int32"),
        ((TOKENS, "mean", MASK.astype(int)), TypeError, "mask has dtype int64, expected bool"),
    ],
)
def test_wrong_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        pool(*arguments)
