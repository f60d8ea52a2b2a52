"""The depthwise-separable convolutional network of the paper's CIFAR-10 experiments."""

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
from laya_jax.typing import Array, Float


class SeparableCNN(nn.Module):
    """Stages of ``GELU(LayerNorm(pointwise(depthwise(x))))``; a stage's global average is its hidden state.

    Every stage but the first halves the resolution. LayerNorm is over channels.

    Example::

      >>> images = jnp.ones((2, 32, 32, 3))
      >>> hidden_states, variables = SeparableCNN(widths=(8, 16)).init_with_output(jax.random.key(0), images)
      >>> [state.shape for state in hidden_states]
      [(2, 8), (2, 16)]

    Reference: LAYA (arXiv 2511.12723), CIFAR-10. The paper does not state the widths.

    Attributes:
      widths: channels of the stages, in order.
      epsilon: of the layer normalisation; the default is Keras's, as in the paper.
      dtype: of the computation; None takes what parameters and input promote to.
      param_dtype: of the parameters.
      kernel_init: initialiser of the kernels.
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
        self, images: Float[Array, "batch height width channels"]
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
        state, hidden_states = images, []
        for i, width in enumerate(self.widths):
            state = depthwise(stride=1 if i == 0 else 2, name=f"depthwise_{i}")(state)
            # One row per position: XLA forms a kernel's gradient several times faster from matrices.
            rows = state.reshape(math.prod(state.shape[:3]), state.shape[3])
            rows = norm(name=f"norm_{i}")(nn.Dense(width, name=f"pointwise_{i}", **fields)(rows))
            state = rows.reshape(*state.shape[:3], width)
            hidden_states.append(jnp.mean(state, axis=(1, 2)))
        return tuple(hidden_states)


class DepthwiseConv(nn.Module):
    """A 3x3 convolution of every channel by itself, "SAME" padding, no bias.

    Example::

      >>> DepthwiseConv(stride=2).init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 3)))[0].shape
      (1, 4, 4, 3)

    Attributes:
      stride: step between the positions of the output.
      dtype: of the computation; None takes what parameters and input promote to.
      param_dtype: of the kernel.
      kernel_init: initialiser of the kernel, [3, 3, 1, C].
    """

    stride: int = 1
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width channels"]) -> Array:
        """Returns [B, ceil(H / stride), ceil(W / stride), C]."""
        kernel = self.param("kernel", self.kernel_init, (3, 3, 1, images.shape[-1]), self.param_dtype)
        images, kernel = nn.dtypes.promote_dtype(images, kernel, dtype=self.dtype)
        return depthwise_convolution(images, kernel, self.stride)


def depthwise_convolution(
    images: Float[Array, "batch height width channels"], kernel: Float[Array, "3 3 1 channels"], stride: int
) -> Float[Array, "batch rows columns channels"]:
    """Depthwise 3x3 convolution with "SAME" padding, in the form that is fast on the platform at hand.

    On a CPU that is nine shifted multiply-adds: XLA runs a grouped convolution there many times slower,
    above all inside ``lax.scan``. Accelerators get the grouped convolution, which moves less memory.

    >>> depthwise_convolution(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)), 1)[0, :, :, 0]
    Array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]], dtype=float32)
    """
    return jax.lax.platform_dependent(
        images,
        kernel,
        cpu=lambda images, kernel: shifted_multiply_adds(images, kernel, stride),
        default=lambda images, kernel: grouped_convolution(images, kernel, stride),
    )


def shifted_multiply_adds(images: Array, kernel: Array, stride: int) -> Array:
    """``depthwise_convolution`` as a sum of nine strided slices times their weights.

    >>> shifted_multiply_adds(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)), 2)[0, :, :, 0]
    Array([[4., 4.],
           [4., 4.]], dtype=float32)
    """
    batch, *sizes, channels = images.shape
    (above, _), (left, _) = jax.lax.padtype_to_pads(sizes, (3, 3), (stride, stride), "SAME")
    total = jnp.zeros((batch, *(-(-size // stride) for size in sizes), channels), images.dtype)
    for row in range(3):
        rows, beyond_rows = _reach(sizes[0], row - above, stride)
        for column in range(3):
            columns, beyond_columns = _reach(sizes[1], column - left, stride)
            part = images[:, rows, columns]
            # The weights are broadcast by a product with ones: its transpose, which sums the kernel's
            # gradient, is a product too, and that is faster than a reduction.
            weights = jnp.ones((math.prod(part.shape[:3]), 1), kernel.dtype) @ kernel[row, column]
            # What is beyond the image is padded here, not in a copy of the whole image.
            total += jnp.pad(
                part * weights.reshape(part.shape), ((0, 0), beyond_rows, beyond_columns, (0, 0))
            )
    return total


def _reach(size: int, offset: int, stride: int) -> tuple[slice, tuple[int, int]]:
    """Positions ``i * stride + offset`` inside the image, and how many i before and after are outside."""
    count = -(-size // stride)
    first = max(0, -(offset // stride))
    last = max(first, min(count, -(-(size - offset) // stride)))
    inside = slice(first * stride + offset, max(0, (last - 1) * stride + offset + 1), stride)
    return inside, (first, count - last)


def grouped_convolution(images: Array, kernel: Array, stride: int) -> Array:
    """``depthwise_convolution`` as XLA's grouped convolution.

    >>> grouped_convolution(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)), 2)[0, :, :, 0]
    Array([[4., 4.],
           [4., 4.]], dtype=float32)
    """
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        window_strides=(stride, stride),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )
