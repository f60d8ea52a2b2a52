import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from laya_jax import LastLayerHead, LayaHead, capture, describe
from laya_jax import nnx as laya_nnx
from laya_jax.backbones import MLP, BiLSTM, SeparableCNN
from laya_jax.backbones.lstm import STEPS

HEAD = LayaHead(num_classes=3, dim=4, scorer_width=6)


def test_the_mlp_and_laya_by_hand():
    cost = describe(HEAD, MLP(widths=(8, 5)), jnp.ones((7, 6)))
    assert cost.backbone.parameters == (6 * 8 + 8) + (8 * 5 + 5) + 2 * (8 + 5)
    assert cost.backbone.flops == 2 * (6 * 8 + 8 * 5)
    assert cost.head.parameters == (8 * 4 + 4) + (5 * 4 + 4) + (8 * 6 + 6) + (6 * 2 + 2) + (4 * 3 + 3)
    # adapters, scorer, mix, classifier; the contributions are not part of a prediction
    assert cost.head.flops == 2 * ((8 + 5) * 4 + 8 * 6 + 6 * 2 + 2 * 4 + 4 * 3)


def test_a_convolution_counts_alike_whatever_form_the_platform_gets():
    cost = describe(LastLayerHead(num_classes=3), SeparableCNN(widths=(8, 5)), jnp.ones((2, 6, 6, 3)))
    depthwise = 36 * 9 * 3 + 9 * 9 * 8
    pointwise = 36 * 3 * 8 + 9 * 8 * 5
    assert cost.backbone.flops == 2 * (depthwise + pointwise)


@pytest.mark.parametrize(("length", "positions"), [(2 * STEPS, 2 * STEPS), (STEPS + 1, 2 * STEPS)])
def test_every_position_of_a_recurrence_counts_in_whole_blocks(length, positions):
    model = BiLSTM(vocabulary_size=9, embedding_dim=4, widths=(3,))
    cost = describe(LastLayerHead(num_classes=3), model, jnp.ones((2, length), "int32"))
    assert cost.backbone.flops == 2 * 2 * positions * (4 * 12 + 3 * 12)


def test_it_takes_shapes_only_and_any_batch():
    flops = [
        describe(HEAD, MLP(widths=(8, 5)), jax.ShapeDtypeStruct((batch, 6), "float32")) for batch in (1, 64)
    ]
    assert flops[0] == flops[1]


def test_an_existing_model_with_captured_hidden_states():
    model, images = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(5)]), jnp.ones((2, 6))
    states = capture(model, model.init(jax.random.key(0), images), images, layers="layers_*")
    cost = describe(HEAD, model, images, hidden_states=states)
    assert cost.backbone.parameters == (6 * 8 + 8) + (8 * 5 + 5)
    assert cost.head == describe(HEAD, MLP(widths=(8, 5)), images).head


def test_nnx_modules_cost_what_linen_modules_cost():
    model = nnx.Sequential(nnx.Linear(6, 8, rngs=nnx.Rngs(0)), nnx.Linear(8, 5, rngs=nnx.Rngs(0)))
    head = laya_nnx.LayaHead((8, 5), 3, 4, scorer_width=6, rngs=nnx.Rngs(0))
    states = laya_nnx.capture(model, jnp.ones((2, 6)), layers="layers/*")
    cost = describe(head, model, jnp.ones((2, 6)), hidden_states=states)
    assert cost.head == describe(HEAD, MLP(widths=(8, 5)), jnp.ones((2, 6))).head
    assert cost.backbone.flops == 2 * (6 * 8 + 8 * 5)


def test_a_backbone_without_parameters_has_no_share():
    class Identity(nn.Module):
        def __call__(self, x):
            return (x,)

    assert "-" in str(describe(LastLayerHead(num_classes=3), Identity(), jnp.ones((2, 6)))).splitlines()[-1]


def test_modules_with_state_and_randomness():
    class WithState(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dropout(0.5, deterministic=False)(nn.Dense(8)(x))
            return (nn.BatchNorm(use_running_average=False)(x),)

    nnx_model = nnx.Sequential(
        nnx.Linear(6, 8, rngs=nnx.Rngs(0)),
        nnx.Dropout(0.5, rngs=nnx.Rngs(0)),
        nnx.BatchNorm(8, rngs=nnx.Rngs(0)),
    )
    states = (jnp.ones((2, 8)),)
    for model in (WithState(), nnx_model):
        cost = describe(LastLayerHead(num_classes=3), model, jnp.ones((2, 6)), hidden_states=states)
        assert cost.backbone == (6 * 8 + 8 + 2 * 8, 2 * 6 * 8)


def test_a_transposed_convolution_counts_what_it_multiplies():
    model, images = nn.ConvTranspose(8, (2, 2), (2, 2)), jnp.ones((1, 8, 8, 3))
    cost = describe(LastLayerHead(num_classes=3), model, images, hidden_states=(jnp.ones((1, 4)),))
    assert cost.backbone.flops == 2 * 64 * 4 * 3 * 8


def test_without_inputs_or_examples_it_says_so():
    for inputs in ((), (jnp.ones((0, 6)),)):
        with pytest.raises(ValueError, match="inputs are empty"):
            describe(HEAD, MLP(widths=(8, 5)), *inputs)


def test_what_is_no_module_is_named():
    with pytest.raises(TypeError, match="backbone is a function, expected a Linen or NNX module"):
        describe(HEAD, lambda x: x, jnp.ones((2, 6)))
