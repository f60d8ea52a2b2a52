import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from laya_jax import ConcatHead, LastLayerHead, LayaHead, ScalarMixHead
from laya_jax import nnx as laya_nnx
from laya_jax.attribution import all_masks, explain, masked_logits, rescaled, shapley_values

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


@pytest.mark.slow
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
    with pytest.raises(TypeError, match=f"{type(head).__name__}, expected a head with attention over"):
        explain(head, parameters, hidden_states)


def test_a_head_with_a_mask_of_its_own_is_refused(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    head = LayaHead(num_classes=2, dim=3, layer_mask=(True, False, True))
    parameters = head.init(jax.random.key(0), hidden_states)["params"]
    with pytest.raises(ValueError, match=r"head.layer_mask is \(True, False, True\), expected None"):
        explain(head, parameters, hidden_states)


def test_boxed_parameters_are_explained(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    boxed = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
    head = LayaHead(num_classes=4, dim=6, kernel_init=boxed)
    output, variables = head.init_with_output(jax.random.key(0), hidden_states)
    np.testing.assert_allclose(
        explain(head, variables["params"], hidden_states).logits, output.logits, atol=1e-5
    )


def test_what_does_not_fit_the_head_is_named(head, make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    parameters = parameters_of(head, hidden_states)
    with pytest.raises(ValueError, match=r"do not fit 3 hidden states .*params.* is not expected"):
        explain(head, {"params": parameters}, hidden_states)
    with pytest.raises(ValueError, match="do not fit 1 hidden states"):
        explain(head, parameters, hidden_states[:1])
    with pytest.raises(TypeError, match=r"head is a builtins\.str, expected a head with attention"):
        explain("laya", parameters, hidden_states)


def test_an_nnx_head_is_explained_like_the_linen_head_of_its_settings(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    nnx_head = laya_nnx.LayaHead(WIDTHS, num_classes=4, dim=6, rngs=nnx.Rngs(0))
    explanation = explain(nnx_head, laya_nnx.linen_parameters(nnx_head), hidden_states)
    np.testing.assert_allclose(explanation.logits, nnx_head(hidden_states).logits, atol=1e-5)


@pytest.mark.parametrize(
    ("masks", "error", "message"),
    [
        ([True, False, True], ValueError, r"masks has shape \(3,\), expected \[mask, 3\]"),
        ([[True, False]], ValueError, r"masks has shape \(1, 2\), expected \[mask, 3\]"),
        ([[1, 0, 1]], TypeError, "masks has dtype int64, expected bool"),
    ],
)
def test_masks_that_are_none_are_refused(make_hidden_states, masks, error, message):
    hidden_states, head = make_hidden_states(WIDTHS), HEADS["laya"]
    explanation = explain(head, parameters_of(head, hidden_states), hidden_states)
    with pytest.raises(error, match=message):
        masked_logits(explanation, masks)


@pytest.mark.slow
def test_no_samples_have_attributions_too(make_hidden_states):
    hidden_states, head = make_hidden_states(WIDTHS, batch=0), HEADS["heads"]
    explanation = explain(head, parameters_of(head, hidden_states), hidden_states)
    assert shapley_values(explanation).values.shape == (0, 3, 4)
