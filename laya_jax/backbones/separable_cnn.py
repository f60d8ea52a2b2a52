"""Depthwise-separable convolutional network of the paper's CIFAR-10 experiments."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from laya_jax.backbones.normalization import NormalizedGelu
from laya_jax.checks import check_counts
from laya_jax.typing import Array, ArrayLike, Float

FEW_CHANNELS = 8
"""Number of channels below which a CPU merges positions and channels: faster for 3, slower for 64."""


class SeparableCNN(nn.Module):
    """Stages of ``GELU(LayerNorm(pointwise(depthwise(x))))``; their global averages are the hidden states.

    Every stage except the first halves the resolution by 2 x 2 average pooling before it convolves.
    LayerNorm normalises over channels.

    Example::

      >>> images = jnp.ones((2, 32, 32, 3))
      >>> hidden_states, variables = SeparableCNN(widths=(8, 16)).init_with_output(jax.random.key(0), images)
      >>> [state.shape for state in hidden_states]
      [(2, 8), (2, 16)]

    Reference: LAYA (arXiv 2511.12723), CIFAR-10. The paper states neither the widths nor how the resolution
    is halved. Average pooling uses more of the image than a convolution with stride 2 and is no slower.

    Attributes:
      widths: Numbers of channels of the stages, in order.
      epsilon: Epsilon of the layer normalisation; the default is that of Keras, as in the paper.
      dtype: Dtype of the computation; None promotes parameters and input to a common one.
      param_dtype: Dtype of the parameters.
      kernel_init: Initialiser of the kernels.
    """

    widths: Sequence[int] = (64, 128, 256)
    epsilon: float = 1e-3
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.glorot_uniform()

    def __post_init__(self) -> None:
        check_counts("widths", self.widths)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, images: Float[ArrayLike, "batch height width channels"]
    ) -> tuple[Float[Array, "batch _"], ...]:
        """Returns one hidden state [B, widths[i]] per stage, for images [B, H, W, C]."""
        if jnp.ndim(images) != 4 or not jnp.issubdtype(jnp.result_type(images), jnp.floating):
            raise ValueError(
                f"images have shape {jnp.shape(images)} and dtype {jnp.result_type(images)}, "
                "expected [batch, height, width, channels] in floating point"
            )
        fields: Any = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        depthwise = partial(DepthwiseConv, **fields)
        norm = partial(NormalizedGelu, self.epsilon, self.dtype, self.param_dtype)
        state, hidden_states = jnp.asarray(images), []
        for i, width in enumerate(self.widths):
            if i > 0:
                state = halved(state)
            state = depthwise(name=f"depthwise_{i}")(state)
            # One row per position: XLA computes the kernel's gradient several times faster from matrices.
            rows = state.reshape(math.prod(state.shape[:3]), state.shape[3])
            rows = norm(name=f"norm_{i}")(nn.Dense(width, name=f"pointwise_{i}", **fields)(rows))
            state = rows.reshape(*state.shape[:3], width)
            hidden_states.append(jnp.mean(state, axis=(1, 2)))
        return tuple(hidden_states)


def halved(
    images: Float[Array, "batch height width channels"],
) -> Float[Array, "batch rows columns channels"]:
    """Averages 2 x 2 positions, fewer at the end of an odd size: [B, ceil(H / 2), ceil(W / 2), C].

    >>> halved(jnp.arange(9.0).reshape(1, 3, 3, 1))[0, :, :, 0]
    Array([[2. , 3.5],
           [6.5, 8. ]], dtype=float32)
    """
    odd = [(0, size % 2) for size in images.shape[1:3]]
    if any(more for _, more in odd):
        images = jnp.pad(images, ((0, 0), *odd, (0, 0)), mode="edge")
    above = images[:, ::2, ::2] + images[:, ::2, 1::2]
    return (above + images[:, 1::2, ::2] + images[:, 1::2, 1::2]) / 4


class DepthwiseConv(nn.Module):
    """Depthwise 3x3 convolution, "SAME" padding, no bias.

    Example::

      >>> DepthwiseConv().init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 3)))[0].shape
      (1, 8, 8, 3)

    Attributes:
      dtype: Dtype of the computation; None promotes kernel and input to a common one.
      param_dtype: Dtype of the kernel.
      kernel_init: Initialiser of the kernel, [3, 3, 1, C].
    """

    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, images: Float[ArrayLike, "batch height width channels"]) -> Array:
        """Returns [B, H, W, C]."""
        kernel = self.param("kernel", self.kernel_init, (3, 3, 1, images.shape[-1]), self.param_dtype)
        images, kernel = nn.dtypes.promote_dtype(images, kernel, dtype=self.dtype)
        return depthwise_convolution(images, kernel)


def depthwise_convolution(
    images: Float[ArrayLike, "batch height width channels"], kernel: Float[ArrayLike, "3 3 1 channels"]
) -> Float[Array, "batch height width channels"]:
    """Applies a depthwise 3x3 convolution with "SAME" padding, in the form that is fastest on the platform.

    On a CPU it computes nine shifted multiply-adds, since XLA's grouped convolution is several times slower
    there, and much slower inside ``lax.scan``. Accelerators use the grouped convolution, which moves less
    memory.

    >>> depthwise_convolution(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0]
    Array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]], dtype=float32)
    """
    return jax.lax.platform_dependent(images, kernel, cpu=shifted_multiply_adds, default=grouped_convolution)


def shifted_multiply_adds(images: Array, kernel: Array) -> Array:
    """Computes ``depthwise_convolution`` as a sum of nine weighted, shifted images.

    >>> shifted_multiply_adds(jnp.ones((1, 2, 2, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0]
    Array([[4., 4.],
           [4., 4.]], dtype=float32)
    """
    batch, height, width, channels = images.shape
    fold = channels if channels < FEW_CHANNELS else 1
    images = images.reshape(batch, height, width * fold, channels // fold)
    total = jnp.zeros(images.shape, images.dtype)
    for row in range(3):
        rows, beyond_rows = _reach(height, row - 1)
        for column in range(3):
            columns, beyond_columns = _reach(width, column - 1, fold)
            part = images[:, rows, columns]
            if not part.size:  # the image has one row or column
                continue
            weights = kernel[row, column]
            if fold > 1:
                weights = _repeat(weights, part.shape[2] // fold).reshape(1, -1)
            weights = _repeat(weights, part.size // weights.size).reshape(part.shape)
            # Padding the product here avoids a padded copy of the whole image.
            total += jnp.pad(part * weights, ((0, 0), beyond_rows, beyond_columns, (0, 0)))
    return total.reshape(batch, height, width, channels)


def _repeat(line: Array, times: int) -> Array:
    """Repeats [1, N] to [times, N] by a product with ones.

    Its transpose, which sums the kernel's gradient, is then a product as well, which is faster than a
    reduction.
    """
    return jnp.ones((times, 1), line.dtype) @ line


def _reach(size: int, offset: int, fold: int = 1) -> tuple[slice, tuple[int, int]]:
    """Returns the positions ``i + offset`` inside the image, and how many lie outside before and after.

    Each position counts ``fold`` times.
    """
    first, last = max(0, -offset), min(size, size - offset)
    inside = slice((first + offset) * fold, (last + offset) * fold)
    return inside, (first * fold, (size - last) * fold)


def grouped_convolution(images: Array, kernel: Array) -> Array:
    """Computes ``depthwise_convolution`` as XLA's grouped convolution.

    >>> grouped_convolution(jnp.ones((1, 2, 2, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0]
    Array([[4., 4.],
           [4., 4.]], dtype=float32)
    """
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )
