import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

from laya_jax.backbones.normalization import NormalizedGelu, closed_form, normalized_gelu


def arguments(rows=16, width=6):
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = ((rows, width), (width,), (width,))
    return tuple(jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))


@jax.jit
def flax_layers(inputs, scale, bias):
    norm = nn.LayerNorm(1e-3, use_fast_variance=False)
    return nn.gelu(norm.apply({"params": {"scale": scale, "bias": bias}}, inputs), approximate=False)


def gradients(function):
    return jax.jit(jax.grad(lambda *arguments: jnp.sum(jnp.sin(3 * function(*arguments))), argnums=(0, 1, 2)))


def assert_same(a, b, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), a, b)


@pytest.mark.parametrize("width", [1, 6, 64])
def test_it_and_its_gradient_are_those_of_the_two_layers(width):
    expected = flax_layers(*arguments(width=width))
    actual = jax.jit(normalized_gelu)(*arguments(width=width), 1e-3)
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    actual = gradients(lambda *a: normalized_gelu(*a, 1e-3))(*arguments(width=width))
    assert_same(actual, gradients(flax_layers)(*arguments(width=width)), atol=2e-4, rtol=1e-4)


@pytest.mark.slow
def test_the_derivative_is_that_of_finite_differences_in_both_modes():
    with jax.enable_x64(True):
        inputs = tuple(array.astype("float64") for array in arguments())
        check_grads(jax.jit(lambda *a: closed_form(1e-3, *a)), inputs, order=2, atol=1e-6, rtol=1e-6)


def test_single_precision_can_be_differentiated_where_double_is_the_default():
    inputs = arguments()
    with jax.enable_x64(True):
        found = gradients(lambda *a: normalized_gelu(*a, 1e-3))(*inputs)
    assert {leaf.dtype.name for leaf in found} == {"float32"}
    assert_same(found, gradients(flax_layers)(*arguments()), atol=2e-4, rtol=1e-4)


def test_values_far_from_zero_and_constant_rows_stay_finite():
    inputs = jnp.array([[-60.0, 0.0, 60.0], [1e4, 1e4, 1e4]])
    weights = (jnp.full(3, 100.0), jnp.zeros(3))
    outputs = normalized_gelu(inputs, *weights, 1e-3)
    # Compiled, the mean of three equal numbers is not quite that number.
    assert_same(outputs, flax_layers.__wrapped__(inputs, *weights), rtol=1e-5)
    for gradient in gradients(lambda *a: normalized_gelu(*a, 1e-3))(inputs, *weights):
        assert jnp.isfinite(gradient).all()


def test_one_program_for_several_models_is_what_each_computes_by_itself():
    inputs, scale, bias = arguments()
    scales = jnp.stack([scale, 2 * scale])
    together = jax.vmap(gradients(lambda *a: normalized_gelu(*a, 1e-3)), in_axes=(None, 0, None))
    for i, gradient in enumerate(zip(*together(inputs, scales, bias), strict=True)):
        alone = gradients(lambda *a: normalized_gelu(*a, 1e-3))(inputs, scales[i], bias)
        assert_same(gradient, alone, atol=1e-5, rtol=1e-5)


def test_rows_spread_over_devices_change_nothing():
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    gradient = jax.jit(gradients(lambda *a: normalized_gelu(*a, 1e-3)))
    inputs, *weights = arguments()
    spread = gradient(jax.device_put(inputs, NamedSharding(mesh, P("rows"))), *weights)
    assert_same(spread, gradient(inputs, *weights), atol=1e-5, rtol=1e-5)


def test_half_precision_computes_in_float32():
    inputs, *_ = arguments(width=64)
    module = NormalizedGelu(dtype=jnp.bfloat16)
    outputs, variables = module.init_with_output(jax.random.key(0), 300 + inputs.astype("bfloat16"))
    assert outputs.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    expected = NormalizedGelu().apply(variables, (300 + inputs.astype("bfloat16")).astype("float32"))
    np.testing.assert_allclose(outputs.astype("float32"), expected, atol=2**-7)


def test_no_rows_are_fine():
    assert normalized_gelu(jnp.ones((0, 4)), jnp.ones(4), jnp.zeros(4), 1e-3).shape == (0, 4)


@pytest.mark.parametrize(("platform", "closed"), [("cpu", True), ("cuda", False), ("tpu", False)])
def test_each_platform_gets_its_form(platform, closed):
    traced = jax.jit(gradients(lambda *a: normalized_gelu(*a, 1e-3))).trace(*arguments())
    assert ("dot_general" in traced.lower(lowering_platforms=(platform,)).as_text()) is closed
