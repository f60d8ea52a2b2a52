import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from precisions import precisions_on_tpu

from laya_jax.heads import layer_attention
from laya_jax.heads.layer_attention import (
    SMALLEST_TEMPERATURE,
    adapt,
    contribute,
    drop_out,
    layer_normalize,
    mix,
    rms_normalize,
    vote,
)


def attend(scores, *more, **options):
    """The attention of one attention head, [B, L]."""
    return layer_attention.attend(scores[..., None], *more, **options)[..., 0]


SCORES = jnp.array([[0.3, -1.2, 0.9, 0.1], [2.0, 1.9, -3.0, 0.0]])


def test_attention_is_the_softmax_of_scores_over_temperature():
    expected = np.exp(np.asarray(SCORES, np.float64) / 0.7)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(attend(SCORES, 0.7), expected, rtol=1e-6)


@pytest.mark.parametrize("temperature", [1e-3, 1e-20, SMALLEST_TEMPERATURE])
def test_a_temperature_near_zero_gives_argmax(temperature):
    expected = jax.nn.one_hot(jnp.argmax(SCORES, axis=1), 4)
    np.testing.assert_array_equal(attend(SCORES, temperature), expected)


@pytest.mark.parametrize("temperature", [1e9, np.inf])
def test_an_infinite_temperature_gives_the_uniform_distribution(temperature):
    np.testing.assert_allclose(attend(SCORES, temperature), np.full((2, 4), 0.25), atol=1e-7)


def test_huge_scores_do_not_overflow():
    np.testing.assert_array_equal(attend(jnp.array([[3e38, -3e38]]), 1e-10), [[1.0, 0.0]])


@pytest.mark.parametrize(
    "mask", [np.array([True, False, True, True]), np.array([[True, False, True, True], [False] * 3 + [True]])]
)
def test_a_masked_layer_gets_exactly_zero_and_the_rest_is_renormalised(mask):
    kept = np.asarray(attend(SCORES)) * mask
    attention = attend(SCORES, layer_mask=jnp.asarray(mask))
    np.testing.assert_allclose(attention, kept / kept.sum(axis=1, keepdims=True), rtol=1e-6)
    assert not np.asarray(attention)[~np.broadcast_to(mask, attention.shape)].any()


def test_a_masked_score_may_be_anything():
    mask = jnp.array([True, True, False])
    for score in (np.nan, np.inf, -np.inf):
        attention = attend(jnp.array([[1.0, 1.0, score]]), layer_mask=mask)
        np.testing.assert_array_equal(attention, [[0.5, 0.5, 0.0]])


@pytest.mark.slow
def test_without_any_layer_attention_and_its_gradient_are_zero():
    mask = jnp.zeros((2, 4), bool)
    np.testing.assert_array_equal(attend(SCORES, layer_mask=mask), np.zeros((2, 4)))
    gradient = jax.grad(lambda scores: jnp.sum(attend(scores, layer_mask=mask) * SCORES))(SCORES)
    np.testing.assert_array_equal(gradient, np.zeros((2, 4)))


def test_attention_is_in_float32_for_bfloat16_scores():
    attention = attend(jax.random.normal(jax.random.key(0), (64, 12), jnp.bfloat16))
    assert attention.dtype == jnp.float32
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    scores=st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=5, max_size=5), min_size=3, max_size=3),
    temperature=st.floats(1e-30, 1e30),
    mask=st.lists(st.booleans(), min_size=5, max_size=5).filter(any),
)
def test_attention_is_a_distribution_over_the_kept_layers(scores, temperature, mask):
    attention = np.asarray(attend(jnp.array(scores, jnp.float32), temperature, jnp.array(mask)))
    assert (attention >= 0).all()
    assert not attention[:, ~np.array(mask)].any()
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-6)


def test_one_stacked_array_is_adapted_by_a_single_product(make_hidden_states):
    stacked = jnp.stack(make_hidden_states([8] * 12))
    adapters = [{"kernel": jnp.full((8, 3), i), "bias": jnp.arange(3.0)} for i in range(12)]
    jaxpr = str(jax.make_jaxpr(adapt)(adapters, stacked))
    assert jaxpr.count("dot_general") == 1
    np.testing.assert_allclose(adapt(adapters, stacked), adapt(adapters, tuple(stacked)), atol=1e-5)


def test_mix_and_contributions_by_hand():
    attention, z = jnp.array([[0.25, 0.75]]), jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    kernel = jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]])
    np.testing.assert_allclose(mix(attention[..., None], z), [[2.5, 3.5]])
    np.testing.assert_allclose(
        contribute(attention[..., None], z, kernel), [[[0.25, 0.5, 0.0], [2.25, 3.0, 1.5]]]
    )


def test_rms_normalisation_takes_out_the_scale_and_keeps_zero():
    z = jax.random.normal(jax.random.key(0), (4, 3, 8))
    np.testing.assert_allclose(rms_normalize(1000 * z), rms_normalize(z), rtol=1e-4)
    np.testing.assert_allclose(jnp.mean(rms_normalize(z) ** 2, axis=-1), 1, rtol=1e-4)
    np.testing.assert_array_equal(rms_normalize(jnp.zeros((1, 1, 4))), jnp.zeros((1, 1, 4)))


@pytest.mark.slow
def test_attention_heads_are_as_many_mixes_of_their_own_parts_of_the_width():
    key = jax.random.key(0)
    scores, z = jax.random.normal(key, (5, 3, 2)), jax.random.normal(key, (5, 3, 4))
    kernel = jax.random.normal(key, (4, 6))
    mask = jnp.array([True, False, True])
    attention = layer_attention.attend(scores, 0.7, mask)
    for head in range(2):
        one, part = attend(scores[..., head], 0.7, mask), z[..., 2 * head : 2 * head + 2]
        np.testing.assert_allclose(attention[..., head], one, rtol=1e-6)
        mixed = mix(attention, z)[:, 2 * head : 2 * head + 2]
        np.testing.assert_allclose(mixed, mix(one[..., None], part), rtol=1e-6, atol=1e-6)
    contributions = contribute(attention, z, kernel)
    np.testing.assert_allclose(contributions.sum(axis=1), mix(attention, z) @ kernel, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_normalised_layers_have_mean_zero_and_deviation_one_whatever_their_scale():
    state = jax.random.normal(jax.random.key(0), (4, 100))
    for scale in (1e-18, 1.0, 1e18):
        normalized = layer_normalize((scale * state + 3 * scale, jnp.ones((4, 3))))
        np.testing.assert_allclose(normalized[0], layer_normalize([state])[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(normalized[1], np.zeros((4, 3)))
    np.testing.assert_allclose(normalized[0].mean(axis=1), np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(normalized[0].std(axis=1), np.ones(4), atol=1e-5)
    stacked = layer_normalize(jnp.stack([state, 2 * state]))
    np.testing.assert_allclose(stacked[0], stacked[1], rtol=1e-5)


def test_a_constant_state_of_any_value_and_width_becomes_zeros():
    values = jax.random.normal(jax.random.key(0), (500, 1)) * 100
    for width in (96, 768):
        (normalized,) = jax.jit(layer_normalize)([jnp.broadcast_to(values, (500, width))])
        np.testing.assert_array_equal(normalized, np.zeros((500, width)))


def test_dropout_keeps_the_mean():
    dropped = drop_out(jax.random.key(0), jnp.ones((100, 10, 100), jnp.bfloat16), 0.25)
    assert dropped.dtype == jnp.bfloat16
    assert abs(float(jnp.mean(dropped == 0)) - 0.25) < 0.01
    assert abs(float(jnp.mean(dropped.astype(jnp.float32))) - 1) < 0.01


@pytest.mark.parametrize("heads", [1, 2])
def test_small_products_are_exact_on_a_tpu_and_large_ones_as_fast_as_it_can(heads):
    attention, z, kernel = jnp.ones((5, 3, heads)), jnp.ones((5, 3, 4)), jnp.ones((4, 6))
    adapters = [{"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}] * 3
    small = (
        (mix, (attention, z)),
        (lambda z, kernel: vote(z, kernel, heads), (z, kernel)),
        (contribute, (attention, z, kernel)),
    )
    for function, arguments in small:
        assert set(precisions_on_tpu(function, *arguments)) == {"HIGHEST"}
    assert set(precisions_on_tpu(adapt, adapters, [attention[0, :, :1] + z[0]] * 3)) == {"DEFAULT"}
