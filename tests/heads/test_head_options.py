"""Masks, normalisation, dropout and attention heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_heads import ADDITIVE, HEADS, WIDTHS, randomised

from laya_jax import ConcatHead, LastLayerHead, LayaHead, ScalarMixHead


def test_rms_normalisation_makes_attention_blind_to_the_scale_of_an_adapter(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    for name, blind in (("laya_normalized", True), ("laya", False)):
        parameters = dict(randomised(HEADS[name], hidden_states)["params"])
        before = HEADS[name].apply({"params": parameters}, hidden_states)
        for scale in (1e2, 1e-6, 1e20):
            scaled = jax.tree.map(lambda leaf, scale=scale: scale * leaf, parameters["adapter_0"])
            after = HEADS[name].apply({"params": {**parameters, "adapter_0": scaled}}, hidden_states)
            assert np.allclose(after.attention, before.attention, atol=1e-4) is blind


# Masks


@pytest.mark.parametrize("name", ["laya", "laya_mlp", "scalar_mix"])
def test_static_and_per_sample_masks_zero_and_renormalise(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    head, mask = HEADS[name], np.array([True, False, True])
    variables = randomised(head, hidden_states)
    kept = np.asarray(head.apply(variables, hidden_states).attention) * mask
    expected = kept / kept.sum(axis=1, keepdims=True)
    outputs = [
        head.apply(variables, hidden_states, mask),
        head.apply(variables, hidden_states, [True, False, True]),
        head.apply(variables, hidden_states, np.tile(mask, (4, 1))),
        head.clone(layer_mask=tuple(mask.tolist())).apply(variables, hidden_states),
        head.clone(layer_mask=(True, False, True)).apply(variables, hidden_states, np.ones((4, 3), bool)),
        jax.jit(head.apply)(variables, hidden_states, mask),
    ]
    for output in outputs:
        np.testing.assert_allclose(output.attention, expected, atol=1e-6)
        assert not output.attention[:, 1].any()
        assert not output.contributions[:, 1].any()


def test_masks_may_differ_between_samples(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS["laya"], hidden_states)
    mask = np.array([[True, False, False], [False, True, False], [False, False, True], [True, True, True]])
    attention = HEADS["laya"].apply(variables, hidden_states, mask).attention
    np.testing.assert_array_equal(attention[:3], np.eye(3))
    np.testing.assert_allclose(
        attention[3], HEADS["laya"].apply(variables, hidden_states).attention[3], atol=1e-7
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["concat", "scalar_mix"])
def test_without_a_scorer_a_masked_layer_may_hold_anything(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS[name], hidden_states)
    changed = (hidden_states[0], hidden_states[1] * jnp.nan, hidden_states[2])
    mask = [True, False, True]
    logits = [HEADS[name].apply(variables, s, mask).logits for s in (hidden_states, changed)]
    np.testing.assert_array_equal(*logits)
    for states in (changed, jnp.stack([state[:, :6] for state in changed])):
        variables = randomised(HEADS[name], states)
        gradient = jax.grad(lambda v, states=states: jnp.sum(HEADS[name].apply(v, states, mask).logits))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient(variables)))


@pytest.mark.parametrize("name", ADDITIVE)
def test_without_any_layer_under_jit_the_bias_is_left(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS[name], hidden_states)
    output = jax.jit(HEADS[name].apply)(variables, hidden_states, jnp.zeros((4, 3), bool))
    bias = np.tile(variables["params"]["classifier"]["bias"], (4, 1))
    np.testing.assert_allclose(output.logits, bias, atol=1e-7)


# Precision, gradients and transformations


@pytest.mark.slow
def test_attention_starts_uniform_where_that_is_asked_for(make_hidden_states):
    head = LayaHead(num_classes=5, dim=8, attention_heads=4, uniform_start=True)
    output, variables = head.init_with_output(jax.random.key(0), make_hidden_states(WIDTHS))
    np.testing.assert_allclose(output.attention, np.full((4, 3), 1 / 3), atol=1e-6)
    assert variables["params"]["scorer_output"]["kernel"].shape == (8, 12)
    assert np.any(variables["params"]["scorer_hidden"]["kernel"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LayaHead, ScalarMixHead, ConcatHead, LastLayerHead])
def test_normalised_layers_are_read_alike_at_any_scale(make_hidden_states, kind):
    head = kind(num_classes=5, layer_normalized=True, **({} if kind is LastLayerHead else {"dim": 6}))
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(head, hidden_states)
    scaled = [state * 10.0**i + i for i, state in enumerate(hidden_states)]
    logits = head.apply(variables, hidden_states).logits
    np.testing.assert_allclose(head.apply(variables, scaled).logits, logits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [LayaHead, ScalarMixHead, ConcatHead])
def test_dropout_is_random_in_training_only_and_right_on_average(make_hidden_states, kind):
    head = kind(num_classes=3, dim=6, dropout=0.3)
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(head, hidden_states)
    still = head.apply(variables, hidden_states)

    @jax.jit
    def train(seed):
        rngs = {"dropout": jax.random.key(seed)}
        return head.apply(variables, hidden_states, deterministic=False, rngs=rngs)

    np.testing.assert_array_equal(train(0).logits, train(0).logits)
    assert np.any(train(0).logits != train(1).logits)
    if kind is ScalarMixHead:  # the others are not linear
        mean = jax.jit(jax.vmap(train))(np.arange(400)).logits.mean(axis=0)
        np.testing.assert_allclose(mean, still.logits, atol=0.15)
    with pytest.raises(ValueError, match=r"dropout is 1\.0, expected"):
        kind(num_classes=3, dim=6, dropout=1.0)


@pytest.mark.slow
def test_layer_dropout_masks_layers_but_never_all_and_never_adds_one(make_hidden_states):
    head = LayaHead(num_classes=3, dim=6, layer_dropout=0.9)
    hidden_states = make_hidden_states(WIDTHS, batch=200)
    variables, mask = randomised(head, hidden_states), jnp.array([True, False, True])
    rngs = {"dropout": jax.random.key(0)}
    output = head.apply(variables, hidden_states, mask, deterministic=False, rngs=rngs)
    kept = np.asarray(output.attention) > 0
    np.testing.assert_allclose(output.attention.sum(axis=1), np.ones(200), atol=1e-6)
    assert not kept[:, 1].any()
    assert 0 < np.mean(kept.sum(axis=1) == 1) < 1
    still = head.apply(variables, hidden_states, mask)
    assert np.all(np.asarray(still.attention)[:, [0, 2]] > 0)


def test_attention_heads_have_to_divide_the_width():
    with pytest.raises(ValueError, match="attention_heads is 4, expected a divisor of dim, 6"):
        LayaHead(num_classes=3, dim=6, attention_heads=4)
