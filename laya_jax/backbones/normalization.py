"""Fused layer normalisation and GELU, ``GELU(LayerNorm(x))``, with a closed-form derivative."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from laya_jax.heads import gelu
from laya_jax.typing import Array, Float


class NormalizedGelu(nn.Module):
    """``GELU(LayerNorm(x))`` over the last axis of a matrix, with the parameters of ``nn.LayerNorm``.

    Example::

      >>> NormalizedGelu().init_with_output(jax.random.key(0), jnp.array([[-9.0, 9.0]]))[0].round(1)
      Array([[-0.2,  0.8]], dtype=float32)

    Attributes:
      epsilon: Constant added to the variance; the default is that of Keras, as in the paper.
      dtype: Dtype of the result; None promotes parameters and input to a common one.
      param_dtype: Dtype of the parameters.
    """

    epsilon: float = 1e-3
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, inputs: Float[Array, "row width"]) -> Float[Array, "row width"]:
        """Returns [N, D] for inputs [N, D]."""
        shape = inputs.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape, self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, shape, self.param_dtype)
        inputs, scale, bias = nn.dtypes.promote_dtype(inputs, scale, bias, dtype=self.dtype)
        precise = partial(jnp.asarray, dtype=jnp.promote_types(inputs.dtype, jnp.float32))
        outputs = normalized_gelu(precise(inputs), precise(scale), precise(bias), self.epsilon)
        return outputs.astype(inputs.dtype)


def normalized_gelu(
    inputs: Float[Array, "row width"],
    scale: Float[Array, " width"],
    bias: Float[Array, " width"],
    epsilon: float,
) -> Float[Array, "row width"]:
    """Computes ``GELU(scale * (x - mean) / sqrt(variance + epsilon) + bias)``, adapted to the platform.

    On a CPU, where XLA does not fuse the result of automatic differentiation well, the derivative is in
    closed form. Accelerators use the plain form.

    >>> normalized_gelu(jnp.array([[-9.0, 9.0]]), jnp.ones(2), jnp.zeros(2), 0.0).round(1)
    Array([[-0.2,  0.8]], dtype=float32)
    """
    return jax.lax.platform_dependent(
        inputs,
        scale,
        bias,
        cpu=partial(closed_form, epsilon),
        default=lambda inputs, scale, bias: gelu(_normalize(inputs, epsilon)[0] * scale[None] + bias[None]),
    )


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def closed_form(epsilon: float, inputs: Array, scale: Array, bias: Array) -> Array:
    """Computes ``normalized_gelu`` with a derivative that stores little and sums by matrix products.

    >>> closed_form(0.0, jnp.array([[-9.0, 9.0]]), jnp.ones(2), jnp.zeros(2)).round(1)
    Array([[-0.2,  0.8]], dtype=float32)
    """
    return _gelu_and_slope(_normalize(inputs, epsilon)[0] * scale[None] + bias[None])[0]


@closed_form.defjvp
def _closed_form_jvp(
    epsilon: float, primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    inputs, scale, bias = primals
    inputs_dot, scale_dot, bias_dot = tangents
    normalized, inverse_deviation = _normalize(inputs, epsilon)
    outputs, slope = _gelu_and_slope(normalized * scale[None] + bias[None])
    rows, width = inputs.shape
    # Means and broadcasts are products with ones, so that their transposes are products, not slow reductions.
    ones = partial(jnp.ones, dtype=inputs.dtype)
    average, spread, repeat = ones((width, 1)) / width, ones((1, width)), ones((rows, 1))

    def mean(array: Array) -> Array:
        return array @ average @ spread

    normalized_dot = inverse_deviation * (
        inputs_dot - mean(inputs_dot) - normalized * mean(normalized * inputs_dot)
    )
    return outputs, slope * (
        normalized_dot * scale[None] + normalized * (repeat @ scale_dot[None]) + repeat @ bias_dot[None]
    )


def _normalize(inputs: Array, epsilon: float) -> tuple[Array, Array]:
    """Normalises rows to mean 0 and variance 1; returns them and the factors."""
    # The faster E[x^2] - E[x]^2 suffers from cancellation, which would cost parity with Keras.
    centred = inputs - jnp.mean(inputs, axis=-1, keepdims=True)
    inverse_deviation = jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + epsilon)
    return centred * inverse_deviation, inverse_deviation


def _gelu_and_slope(inputs: Array) -> tuple[Array, Array]:
    """Computes the exact GELU, ``x Phi(x)``, and its derivative, ``Phi(x) + x phi(x)``."""
    probability = 0.5 + 0.5 * jax.lax.erf(inputs * 0.5**0.5)
    density = jnp.exp(-0.5 * jnp.square(inputs)) * (0.5 / jnp.pi) ** 0.5
    return inputs * probability, probability + inputs * density
