import jax
import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax.backbones import SeparableCNN
from laya_jax.backbones.separable_cnn import depthwise_convolution, grouped_convolution, shifted_multiply_adds


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 2), (2, 1), (1, 1), (5, 4)])
def test_both_forms_of_the_convolution_agree_and_so_do_their_gradients(size, channels):
    images = jax.random.normal(jax.random.key(0), (2, *size, channels))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 1, channels))
    expected = jax.jit(grouped_convolution)(images, kernel)
    np.testing.assert_allclose(jax.jit(shifted_multiply_adds)(images, kernel), expected, atol=1e-5)

    def gradients(convolution):
        def loss(images, kernel):
            return jnp.sum(jnp.sin(convolution(images, kernel)))

        return jax.jit(jax.grad(loss, (0, 1)))(images, kernel)

    for gradient, other in zip(gradients(depthwise_convolution), gradients(grouped_convolution), strict=True):
        np.testing.assert_allclose(gradient, other, atol=1e-4)


@pytest.mark.parametrize(("platform", "grouped"), [("cpu", False), ("cuda", True), ("tpu", True)])
def test_each_platform_gets_its_form(platform, grouped):
    images, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 1, 3))
    convolution = jax.jit(depthwise_convolution)
    lowered = convolution.trace(images, kernel).lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.convolution" in lowered) is grouped


@pytest.mark.slow
def test_later_stages_halve_the_resolution_and_their_average_is_the_hidden_state():
    images = jax.random.normal(jax.random.key(0), (2, 9, 9, 3))
    model = SeparableCNN(widths=(4, 6, 8))
    states, variables = jax.jit(model.init_with_output)(jax.random.key(1), images)
    assert [state.shape for state in states] == [(2, 4), (2, 6), (2, 8)]

    @jax.jit
    def stage(x, depthwise, pointwise):
        x = jnp.einsum("bhwi,ij->bhwj", grouped_convolution(x, depthwise), pointwise)
        x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-3)
        return jax.nn.gelu(x, approximate=False)

    x = images
    for i, state in enumerate(states):
        if i > 0:
            size = -(-x.shape[1] // 2)
            x = np.asarray(x)
            ends = [slice(2 * j, 2 * j + 2) for j in range(size)]
            x = np.stack([np.stack([x[:, r, c].mean((1, 2)) for c in ends], 1) for r in ends], 1)
        kernels = (variables["params"][f"{name}_{i}"]["kernel"] for name in ("depthwise", "pointwise"))
        x = stage(x, *kernels)
        assert x.shape[1] == (9, 5, 3)[i]
        np.testing.assert_allclose(state, x.mean(axis=(1, 2)), atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SeparableCNN(widths=(8, -1)), r"widths\[1\] is -1"),
        (lambda: SeparableCNN().init(jax.random.key(0), jnp.ones((2, 32, 32))), r"shape \(2, 32, 32\)"),
        (lambda: SeparableCNN().init(jax.random.key(0), jnp.ones((2, 8, 8, 3), "uint8")), "dtype uint8"),
    ],
)
def test_wrong_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
