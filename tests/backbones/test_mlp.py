import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax.backbones import MLP


@pytest.mark.slow
def test_hidden_states_by_hand():
    images = jax.random.normal(jax.random.key(0), (4, 5, 5))
    states, variables = MLP(widths=(8, 6)).init_with_output(jax.random.key(1), images)
    x = images.reshape(4, 25)
    for i, state in enumerate(states):
        x = x @ variables["params"][f"dense_{i}"]["kernel"]
        x = (x - x.mean(1, keepdims=True)) / jnp.sqrt(x.var(1, keepdims=True) + 1e-3)
        x = nn.gelu(x, approximate=False)
        np.testing.assert_allclose(state, x, atol=1e-5)


def test_the_default_is_the_paper_model():
    variables = jax.eval_shape(MLP().init, jax.random.key(0), jnp.ones((1, 28, 28)))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 567_936


@pytest.mark.slow
def test_bfloat16_computation_keeps_float32_parameters():
    states, variables = MLP(widths=(8, 6), dtype=jnp.bfloat16).init_with_output(
        jax.random.key(0), jnp.ones((2, 5))
    )
    assert {state.dtype for state in states} == {jnp.dtype("bfloat16")}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_an_empty_batch_is_fine():
    states, _ = MLP(widths=(8, 6)).init_with_output(jax.random.key(0), jnp.ones((0, 5, 5)))
    assert [state.shape for state in states] == [(0, 8), (0, 6)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(widths=()), "widths is empty"),
        (lambda: MLP(widths=(8, 0)), r"widths\[1\] is 0"),
        (lambda: MLP().init(jax.random.key(0), jnp.ones(784)), r"shape \(784,\)"),
        (lambda: MLP().init(jax.random.key(0), jnp.ones((2, 784), "uint8")), "dtype uint8"),
    ],
)
def test_wrong_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
