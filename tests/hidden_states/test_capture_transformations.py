"""Hidden states of layers under Flax's transformations."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_layers import IMAGES, TOKENS, Block, initialised

from laya_jax import LayaHead, capture


class Scanned(nn.Module):
    remat: bool = False

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8, name="stem")(x)

        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x, _):
                x = nn.tanh(nn.Dense(8)(x))
                return x, None

        layers = nn.scan(
            nn.remat(Layer) if self.remat else Layer,
            variable_axes={"params": 0, "intermediates": 0},
            split_rngs={"params": True},
            length=3,
        )
        return layers(name="layers")(x, None)[0]


@pytest.mark.parametrize("remat", [False, True])
def test_a_scan_over_layers_comes_as_one_stacked_array(remat):
    model, variables = initialised(Scanned(remat), TOKENS)
    stacked = capture(model, variables, TOKENS, layers="layers", pooling="mean")
    assert stacked.shape == (3, 4, 8)
    last = model.apply(variables, TOKENS).mean(axis=1)
    np.testing.assert_allclose(stacked[-1], last, atol=1e-6)
    apart = capture(model, variables, TOKENS, layers=["stem", "layers"], pooling="mean")
    assert [state.shape for state in apart] == [(4, 8)] * 4
    np.testing.assert_allclose(jnp.stack(apart[1:]), stacked, atol=1e-6)
    output, _ = LayaHead(num_classes=3, dim=4).init_with_output(jax.random.key(0), stacked)
    assert output.attention.shape == (4, 3)
    with jax.checking_leaks():
        jax.jit(lambda v: capture(model, v, TOKENS, layers="layers", pooling="mean"))(variables)


@pytest.mark.parametrize("jit", [False, True])
def test_a_vmap_over_samples_is_no_stack_of_layers(jit):
    dense = nn.vmap(
        nn.Dense, variable_axes={"params": None, "intermediates": 0}, split_rngs={"params": False}
    )

    class PerSample(nn.Module):
        @nn.compact
        def __call__(self, x):
            return dense(6, name="layer")(x)

    model, variables = initialised(PerSample(), TOKENS)

    def states(tokens):
        return capture(model, variables, tokens, layers="layer", pooling="mean")

    (state,) = (jax.jit(states) if jit else states)(TOKENS)
    np.testing.assert_allclose(state, model.apply(variables, TOKENS).mean(axis=1), atol=1e-6)


def test_a_scan_that_puts_depth_elsewhere_is_refused():
    class Elsewhere(nn.Module):
        @nn.compact
        def __call__(self, x):
            def layer(dense, x, _):
                return nn.tanh(dense(x)), None

            axes = {"params": 0, "intermediates": 1}
            return nn.scan(layer, variable_axes=axes, split_rngs={"params": True}, length=3)(
                nn.Dense(6, name="layer"), x, None
            )[0]

    with pytest.raises(ValueError, match=r"'layer' returns .* expected depth on axis 0"):
        capture(*initialised(Elsewhere(), IMAGES), IMAGES, layers="layer")


def test_layers_under_nn_jit_are_refused_rather_than_lost():
    compiled_block = nn.jit(Block)

    class Compiled(nn.Module):
        @nn.compact
        def __call__(self, x):
            for i in range(3):
                x = compiled_block(6, name=f"block_{i}")(x)
            return x

    model, variables = initialised(Compiled(), IMAGES)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"block_1.* run under nn\.jit"):
            capture(model, variables, IMAGES, layers="block_*")
