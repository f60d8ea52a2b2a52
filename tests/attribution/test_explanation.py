import jax
import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax import ConcatHead, LastLayerHead, LayaHead, ScalarMixHead
from laya_jax.attribution import all_masks, explain, masked_logits, rescaled

WIDTHS = (5, 7, 6)
HEADS = {
    "laya": LayaHead(num_classes=4, dim=6, temperature=0.5),
    "psi": LayaHead(num_classes=4, dim=6, psi="mlp", scorer_width=9),
    "rms": LayaHead(num_classes=4, dim=6, rms_normalized=True),
    "heads": LayaHead(num_classes=4, dim=6, attention_heads=3, layer_normalized=True),
    "scalar mix": ScalarMixHead(num_classes=4, dim=6),
}


@pytest.fixture(params=HEADS)
def head(request):
    return HEADS[request.param]


def parameters_of(head, hidden_states):
    """Random ones, biases and free scores included."""
    parameters = head.init(jax.random.key(0), hidden_states)["params"]
    leaves, structure = jax.tree.flatten(parameters)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    drawn = [leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def test_an_explanation_is_what_the_head_computes(head, make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    parameters = parameters_of(head, hidden_states)
    output = head.apply({"params": parameters}, hidden_states)
    explanation = jax.jit(lambda *given: explain(head, *given))(parameters, hidden_states)
    np.testing.assert_allclose(explanation.attention, output.attention, atol=1e-6)
    np.testing.assert_allclose(explanation.contributions, output.contributions, atol=1e-5)
    np.testing.assert_allclose(explanation.logits, output.logits, atol=1e-5)


def test_masked_layers_do_what_the_heads_layer_mask_does(head, make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    parameters = parameters_of(head, hidden_states)
    explanation = explain(head, parameters, hidden_states)
    masks = all_masks(3)
    left = masked_logits(explanation, masks)
    np.testing.assert_allclose(left[0], np.broadcast_to(explanation.bias, left[0].shape), atol=1e-6)
    for mask, logits in zip(masks[1:], left[1:], strict=True):
        expected = head.apply({"params": parameters}, hidden_states, jnp.asarray(mask)).logits
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        per_sample = np.broadcast_to(mask, explanation.attention.shape)
        np.testing.assert_allclose(explanation.masked(per_sample), expected, atol=1e-5)


def test_the_lens_is_what_a_layer_predicts_alone(head, make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    parameters = parameters_of(head, hidden_states)
    explanation = explain(head, parameters, hidden_states)
    for layer in range(3):
        alone = head.apply({"params": parameters}, hidden_states, jnp.arange(3) == layer)
        np.testing.assert_allclose(explanation.lens[:, layer], alone.logits, atol=1e-5)
        length = jnp.linalg.norm(alone.aggregate, axis=1)
        np.testing.assert_allclose(explanation.norms[:, layer], length, rtol=1e-5)


def test_rescaling_is_what_scaling_the_parameters_does(make_hidden_states):
    hidden_states, scale, layer, temperature = make_hidden_states(WIDTHS), 3.0, 1, 0.5
    head = HEADS["laya"]
    parameters = parameters_of(head, hidden_states)
    reads = np.ones((18, 1), np.float32)
    reads[6 * layer : 6 * (layer + 1)] /= scale
    other = {
        **parameters,
        "adapter_1": jax.tree.map(lambda leaf: leaf * scale, parameters["adapter_1"]),
        "scorer_hidden": {
            **parameters["scorer_hidden"],
            "kernel": parameters["scorer_hidden"]["kernel"] * reads,
        },
        "scorer_output": {
            **parameters["scorer_output"],
            "bias": parameters["scorer_output"]["bias"].at[layer].add(-temperature * np.log(scale)),
        },
    }
    expected = explain(head, other, hidden_states)
    found = rescaled(explain(head, parameters, hidden_states), layer, scale)
    np.testing.assert_allclose(found.attention, expected.attention, atol=1e-5)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)


def test_collapsed_attention_still_tells_what_the_other_layers_would_do(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    head = LayaHead(num_classes=4, dim=6, temperature=1e-3)
    parameters = parameters_of(head, hidden_states)
    explanation = explain(head, parameters, hidden_states)
    assert np.sort(explanation.attention, axis=1)[:, -1].min() > 0.999
    for layer in range(3):
        mask = jnp.arange(3) != layer
        expected = head.apply({"params": parameters}, hidden_states, mask).logits
        np.testing.assert_allclose(masked_logits(explanation, mask[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize("head", [ConcatHead(num_classes=2, dim=3), LastLayerHead(num_classes=2)])
def test_a_head_that_does_not_weigh_layers_is_refused(head, make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    parameters = head.init(jax.random.key(0), hidden_states)["params"]
    with pytest.raises(TypeError, match=f"head is a {type(head).__name__}, expected a LayaHead or ScalarMix"):
        explain(head, parameters, hidden_states)


def test_a_head_with_a_mask_of_its_own_is_refused(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    head = LayaHead(num_classes=2, dim=3, layer_mask=(True, False, True))
    parameters = head.init(jax.random.key(0), hidden_states)["params"]
    with pytest.raises(ValueError, match=r"head.layer_mask is \(True, False, True\), expected None"):
        explain(head, parameters, hidden_states)
