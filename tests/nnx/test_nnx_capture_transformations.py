"""Hidden states of layers under NNX's transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from laya_jax import nnx as laya_nnx

TOKENS = np.random.default_rng(0).normal(size=(4, 5, 6)).astype("float32")


class Block(nnx.Module):
    def __init__(self, rngs):
        self.linear, self.dropout = nnx.Linear(6, 6, rngs=rngs), nnx.Dropout(0.5, deterministic=True)

    def __call__(self, x):
        return self.dropout(nnx.relu(self.linear(x)))


class Running(nnx.Module):
    """A model of one function of some layers and the input."""

    def __init__(self, layers, function):
        self.layers, self.function = layers, function

    def __call__(self, x):
        return self.function(self.layers, x)


def stack(size=3):
    make = nnx.vmap(Block, in_axes=(0,), out_axes=0)
    return nnx.split_rngs(splits=size)(make)(nnx.Rngs(0))


def call(layer, x):
    return layer(x)


def scanned(call=call, axes=0):
    return lambda layers, x: nnx.scan(
        lambda x, layer: call(layer, x), in_axes=(nnx.Carry, axes), out_axes=nnx.Carry
    )(x, layers)


def vmapped(call=call, axes=0, over=None):
    return lambda layers, x: nnx.vmap(call, in_axes=(axes, over))(layers, x)


def over_time(axes):
    def step(state, layer, x):
        state = layer(state + x)
        return state, state

    def run(layer, x):
        scan = nnx.scan(step, in_axes=(nnx.Carry, axes, 1), out_axes=(nnx.Carry, 1))
        return scan(jnp.zeros((4, 6)), layer, x)[1]

    return run


def intermediates(axis, rest):
    return nnx.StateAxes({nnx.Intermediate: axis, ...: rest})


@pytest.mark.slow
@pytest.mark.parametrize("axes", [0, intermediates(1, 0)])
@pytest.mark.parametrize("call", [call, nnx.remat(call), nnx.jit(call)])
def test_a_scan_over_layers_comes_as_one_stacked_array(call, axes):
    model = Running(stack(), scanned(call, axes))

    def states(tokens):
        return laya_nnx.capture(model, tokens, layers="layers", pooling="mean")

    expected, by_hand = TOKENS, []
    for i in range(3):
        kernel, bias = model.layers.linear.kernel[i], model.layers.linear.bias[i]
        expected = np.maximum(expected @ np.asarray(kernel) + np.asarray(bias), 0)
        by_hand.append(expected.mean(axis=1))
    for run in (states, states, jax.jit(states)):
        np.testing.assert_allclose(run(TOKENS), jnp.stack(by_hand), atol=1e-6)


@pytest.mark.parametrize("call", [call, nnx.remat(call), nnx.jit(call)])
@pytest.mark.parametrize("layer", ["layers", "layers/linear", "layers/dropout"])
def test_members_of_an_ensemble_are_neither_samples_nor_layers(call, layer):
    model = Running(stack(), vmapped(call))
    for _ in range(2):
        with pytest.raises(ValueError, match=f"'{layer}' runs under a vmap over its parameters.*members"):
            laya_nnx.capture(model, TOKENS, layers=layer)


@pytest.mark.parametrize("call", [call, nnx.remat(call)])
def test_a_vmap_over_samples_is_no_stack_of_layers(call):
    model = Running(Block(nnx.Rngs(0)), vmapped(call, intermediates(0, None), 0))
    (state,) = laya_nnx.capture(model, TOKENS, layers="layers")
    np.testing.assert_allclose(state, model(TOKENS), atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "function", "message"),
    [
        (Block, vmapped(axes=None, over=0), "runs under a transform out of which nothing can be stored"),
        (Block, over_time(None), "runs under an NNX transform that does not return its intermediates"),
        (Block, over_time(intermediates(0, None)), "runs under a scan that shares its parameters.*time"),
        (
            lambda rngs: stack(),
            scanned(axes=nnx.StateAxes({nnx.Param: 0, ...: None})),
            "runs under an NNX .* does not return its",
        ),
    ],
)
def test_an_axis_without_a_name_is_refused(layers, function, message):
    model = Running(layers(nnx.Rngs(0)), function)
    assert "layers" in laya_nnx.layer_names(model, TOKENS)
    with pytest.raises(ValueError, match=f"layer 'layers' {message}"):
        laya_nnx.capture(model, TOKENS, layers="layers")


def test_a_model_with_a_recurrent_layer_is_captured_around_it():
    class Recurrent(nnx.Module):
        def __init__(self, rngs):
            self.embed = nnx.Linear(6, 6, rngs=rngs)
            self.rnn = nnx.RNN(nnx.LSTMCell(6, 7, rngs=rngs))

        def __call__(self, x):
            return self.rnn(self.embed(x))

    model = Recurrent(nnx.Rngs(0))
    states = laya_nnx.capture(model, TOKENS, layers=["embed", "rnn"])
    np.testing.assert_allclose(states[1], model(TOKENS), atol=1e-6)
    assert "rnn/cell" in laya_nnx.layer_names(model, TOKENS)
    with pytest.raises(ValueError, match=r"'rnn/cell' runs under a transform .* nnx\.RNN"):
        laya_nnx.capture(model, TOKENS, layers="rnn/cell", output=1)


class Compiled(nnx.Module):
    def __init__(self):
        self.blocks = nnx.List([Block(nnx.Rngs(i)) for i in range(3)])

    @nnx.jit
    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def test_under_nnx_jit_every_call_gives_the_same_and_choices_are_not_mixed_up():
    model = Compiled()
    model(TOKENS)
    expected = [TOKENS]
    for block in model.blocks:
        expected.append(block(expected[-1]))

    def states(tokens, output=None):
        return laya_nnx.capture(model, tokens, layers="blocks/*", output=output)

    for run in (states, states, jax.jit(states)):
        for state, by_hand in zip(run(TOKENS), expected[1:], strict=True):
            np.testing.assert_allclose(state, by_hand, atol=1e-6)
    for factor in (2, 3):
        scaled = states(TOKENS, lambda x, factor=factor: factor * x)
        np.testing.assert_allclose(scaled[0], factor * expected[1], atol=1e-6)
