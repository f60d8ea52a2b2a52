import flax
import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from small_layers import IMAGES, Block, initialised

import laya_jax
from laya_jax import nnx as laya_nnx


class Pretrained:
    """Stands for one of Hugging Face's Flax models."""

    def __init__(self, params):
        self.module, self.params = Block(6), params


MODEL, VARIABLES = initialised(Block(6), IMAGES)
EQUINOX = type("MLP", (), {"__module__": "equinox.nn._mlp"})()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Pretrained(VARIABLES["params"]),
            r'pass its \.module .* with {"params": model\.params} as variables',
        ),
        (Pretrained(VARIABLES), r"pass its \.module .* with model\.params as variables"),
        (nnx.Linear(6, 6, rngs=nnx.Rngs(0)), r"an NNX module \(Linear\).* laya_jax\.nnx\.capture\("),
        (EQUINOX, r"an Equinox module \(MLP\), expected a Linen module; let it return its hidden states"),
        (Block, r"the class Block, expected a Linen module, such as Block\("),
        (MODEL.apply, "pass the module, not its method"),
        ("bert", "of type str, expected a Linen module$"),
    ],
)
@pytest.mark.parametrize("function", [laya_jax.capture, laya_jax.layer_names])
def test_what_is_no_linen_module_is_told_what_to_pass(function, model, message):
    layers = {"layers": "*"} if function is laya_jax.capture else {}
    with pytest.raises(TypeError, match=message):
        function(model, VARIABLES, IMAGES, **layers)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (MODEL, r"a Linen module \(Block\), expected an NNX module; laya_jax\.capture\("),
        (Pretrained(VARIABLES), r"pass its \.module to laya_jax\.capture"),
        (nnx.Linear, "the class Linear, expected an NNX module"),
        (nnx.split(nnx.Linear(6, 6, rngs=nnx.Rngs(0)))[0], r"GraphDef.*nnx\.merge\(graphdef, state\)"),
        (nnx.Rngs(0), "of type Rngs, expected an NNX module$"),
    ],
)
@pytest.mark.parametrize("function", [laya_nnx.capture, laya_nnx.layer_names])
def test_what_is_no_nnx_module_is_told_what_to_pass(function, model, message):
    layers = {"layers": "*"} if function is laya_nnx.capture else {}
    with pytest.raises(TypeError, match=message):
        function(model, IMAGES, **layers)


def test_a_linen_module_inside_an_nnx_module_is_named():
    inner = nnx.bridge.ToNNX(MODEL, rngs=nnx.Rngs(0)).lazy_init(IMAGES)
    with pytest.raises(ValueError, match=r"holds a Linen module \(layers/1, under nnx\.bridge\.ToNNX\)"):
        laya_nnx.capture(nnx.Sequential(lambda x: x, inner), IMAGES, layers="*")


@pytest.mark.parametrize(
    ("variables", "error", "message"),
    [
        (
            VARIABLES["params"],
            ValueError,
            r'variables holds Dense_0, expected "params" .* {"params": variables}',
        ),
        (flax.core.freeze(VARIABLES["params"]), ValueError, 'pass {"params": variables}'),
        ({}, ValueError, 'holds nothing, expected "params"'),
        ({"params": VARIABLES}, ValueError, r'"params" again, expected variables\["params"\]'),
        (
            TrainState.create(apply_fn=MODEL.apply, params=VARIABLES["params"], tx=optax.sgd(0.1)),
            TypeError,
            r'variables is a TrainState, expected {"params": variables\.params}',
        ),
        (IMAGES, TypeError, r"variables is float32\[4,6\], expected"),
        (None, TypeError, "variables is None, expected"),
    ],
)
@pytest.mark.parametrize("function", [laya_jax.capture, laya_jax.layer_names])
def test_variables_of_another_form_are_told_what_to_pass(function, variables, error, message):
    layers = {"layers": "*"} if function is laya_jax.capture else {}
    with pytest.raises(error, match=message):
        function(MODEL, variables, IMAGES, **layers)


def test_a_frozen_dict_and_other_collections_are_fine():
    model, variables = initialised(
        nn.Sequential([nn.Dense(3), nn.BatchNorm(use_running_average=True)]), IMAGES
    )
    frozen = laya_jax.capture(model, flax.core.freeze(variables), IMAGES, layers="*")
    jax.tree.map(
        np.testing.assert_array_equal, frozen, laya_jax.capture(model, variables, IMAGES, layers="*")
    )
    with pytest.raises(flax.errors.ScopeCollectionNotFound, match="batch_stats"):
        laya_jax.capture(model, {"params": variables["params"]}, IMAGES, layers="*")
