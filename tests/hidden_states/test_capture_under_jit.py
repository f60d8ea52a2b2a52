"""Hidden states of layers under nn.jit, which runs no Python where it has a trace."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from small_layers import IMAGES, TOKENS, Block, Step, initialised, running, scanned

from laya_jax import capture, layer_names

CompiledBlock = nn.jit(Block)


class Compiled(nn.Module):
    """Blocks under nn.jit, which runs the trace of the first for all."""

    @nn.compact
    def __call__(self, x):
        for i in range(12):
            x = CompiledBlock(6, name=f"block_{i}")(x)
        return x


class WholeCompiled(nn.Module):
    @nn.jit
    @nn.compact
    def __call__(self, x):
        for i in range(12):
            x = Block(6, name=f"block_{i}")(x)
        return x


@pytest.mark.slow
@pytest.mark.parametrize("model", [Compiled(), WholeCompiled()])
def test_under_nn_jit_every_call_gives_the_same(model):
    _, variables = initialised(model, IMAGES)
    model.apply(variables, IMAGES, mutable=["intermediates"])  # leaves a trace that stores nothing of ours
    expected = [IMAGES]
    for i in range(12):
        parameters = {"params": variables["params"][f"block_{i}"]}
        expected.append(Block(6).apply(parameters, expected[-1]))

    def states(variables):
        return capture(model, variables, IMAGES, layers="block_*")

    for run in (states, states, jax.jit(states), states):
        for state, by_hand in zip(run(variables), expected[1:], strict=True):
            np.testing.assert_allclose(state, by_hand, atol=1e-6)
    names = layer_names(model, variables, IMAGES)
    assert names[1::2] == tuple(f"block_{i}" for i in range(12))


class ScanCompiled(nn.Module):
    """Flax shows nn.jit inside of a scan less of the call than outside."""

    @nn.compact
    def __call__(self, x):
        return scanned(nn.jit(Step))(name="block_3")(x, None)[0]


@pytest.mark.parametrize("layers", ["block_0", "block_7", ["block_11", "block_2/Dense_0", "block_2"]])
def test_under_nn_jit_any_of_the_blocks_may_be_asked_for(layers):
    model, variables = initialised(Compiled(), IMAGES)
    plain = WholeCompiled()
    for _ in range(2):
        captured = capture(model, variables, IMAGES, layers=layers)
        expected = capture(plain, variables, IMAGES, layers=layers)
        for state, by_hand in zip(captured, expected, strict=True):
            np.testing.assert_allclose(state, by_hand, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("model", [WholeCompiled(), Compiled(), ScanCompiled()])
def test_under_nn_jit_another_choice_is_not_mixed_up(model):
    _, variables = initialised(model, IMAGES)
    plain = capture(model, variables, IMAGES, layers="block_3")
    for factor in (2, 3):
        scaled = capture(
            model, variables, IMAGES, layers="block_3", output=lambda x, by=factor: by * jax.tree.leaves(x)[0]
        )
        np.testing.assert_allclose(scaled[0], factor * plain[0], atol=1e-6)
    (inner,) = capture(model, variables, IMAGES, layers="block_3/Dense_0", output=lambda x: x[None])[:1]
    assert not np.array_equal(inner[0], plain[0])


@pytest.mark.parametrize("step", [nn.jit(Step), Step])
def test_a_layer_that_is_lost_under_nn_jit_is_lost_every_time(step):
    @nn.jit
    class Inner(nn.Module):
        @nn.compact
        def __call__(self, x):
            return scanned(step, variable_axes={"params": 0})(name="scanned")(x, None)[0]

    model = running(lambda x: Inner(name="inner")(nn.Dense(6, name="stem")(x)))
    _, variables = initialised(model, TOKENS)
    for _ in range(3):
        with pytest.raises(ValueError, match="layer 'inner/scanned' runs under a Flax transform"):
            capture(model, variables, TOKENS, layers=["stem", "inner/*"])


@pytest.mark.slow
def test_a_lost_layer_is_named_also_if_another_one_was_traced():
    axes = {"params": 0}
    layer = nn.jit(scanned(Step, variable_axes=axes))

    def both(x):
        return layer(name="layer_1")(layer(name="layer_0")(x, None)[0], None)[0]

    _, variables = initialised(running(both), TOKENS)
    for name in ("layer_1", "layer_0", "layer_1"):
        with pytest.raises(ValueError, match=f"layer '{name}' runs under a Flax transform"):
            capture(running(both), variables, TOKENS, layers=name)
