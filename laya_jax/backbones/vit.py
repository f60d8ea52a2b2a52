"""ViT, a transformer over the patches of an image."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from numpy.typing import NDArray

from laya_jax.backbones.transformer import FeedForward, SelfAttention, Transformer, check_pooling, pooled
from laya_jax.checks import check_count
from laya_jax.typing import Array, ArrayLike, Float

CUBIC = -0.75
"""Parameter of the cubic kernel that interpolates position embeddings, as in PyTorch."""


class ViT(Transformer):
    """Patches, a class token and blocks of attention; each block's output is a hidden state.

    ``x = x + s1 attention(norm(x))``, ``x = x + s2 mlp(norm(x))`` with ``s = 1`` without LayerScale. The norm
    after the last block, which precedes a classifier, is left out, so that all hidden states are of one kind.

    Example::

      >>> import jax
      >>> backbone = ViT(patch_size=4, width=8, depth=2, heads=2, grid=(2, 2))
      >>> hidden_states, _ = backbone.init_with_output(jax.random.key(0), jnp.ones((3, 8, 8, 3)))
      >>> [state.shape for state in hidden_states]
      [(3, 8), (3, 8)]

    Reference: Dosovitskiy et al. 2021; LayerScale: Touvron et al. 2021; DINOv2: Oquab et al. 2023.

    Attributes:
      patch_size: Side of a patch in pixels.
      width: Width of the hidden states.
      depth: Number of blocks.
      heads: Number of heads in each attention.
      mlp_width: Hidden width of the MLP in each block; None means four times the width.
      grid: Numbers of patches along height and width that have position embeddings; for images of another
        size these are interpolated (bicubic).
      layer_scale: True to scale each branch by a learned vector.
      pooling: Pooling over positions: "cls" for the class token, "mean" over the patches, or several joined
        by "+"; None returns the hidden states of all positions, [B, 1 + patches, width].
      epsilon: Epsilon of the layer normalisations.
      dtype: Dtype of the computation; None means the one that parameters and input promote to.
      param_dtype: Dtype of the parameters.
    """

    patch_size: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int | None = None
    grid: tuple[int, int] = (14, 14)
    layer_scale: bool = False
    pooling: str | None = "cls"
    epsilon: float = 1e-6
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        for name in ("patch_size", "width", "depth", "heads"):
            check_count(name, getattr(self, name))
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, expected a divisor of the width, {self.width}")
        check_pooling(self.pooling)
        super().__post_init__()

    @property
    def example(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of an input, for initialisation."""
        return jax.ShapeDtypeStruct((1, *(side * self.patch_size for side in self.grid), 3), jnp.float32)

    @nn.compact
    def __call__(self, images: Float[ArrayLike, "batch height width channels"]) -> tuple[Array, ...]:
        """Returns one hidden state per block, [B, D], for images [B, H, W, C]."""
        states = self._embedded(images)
        patches = jnp.broadcast_to(jnp.arange(states.shape[1]) > 0, states.shape[:2])
        hidden_states = []
        for i in range(self.depth):
            states = self._block(i)(states)
            hidden_states.append(states if self.pooling is None else pooled(states, self.pooling, patches))
        return tuple(hidden_states)

    def _block(self, i: int) -> "Block":
        return Block(
            self.heads,
            self.mlp_width or 4 * self.width,
            self.layer_scale,
            self.epsilon,
            self.dtype,
            self.param_dtype,
            name=f"block_{i}",
        )

    def _embedded(self, images: ArrayLike) -> Array:
        """Embeds class token and patches with their positions, [B, 1 + patches, D]."""
        size = self.patch_size
        if jnp.ndim(images) != 4 or not jnp.issubdtype(jnp.result_type(images), jnp.floating):
            raise ValueError(
                f"images have shape {jnp.shape(images)} and dtype {jnp.result_type(images)}, "
                "expected [batch, height, width, channels] in floating point"
            )
        batch, height, width, channels = images.shape
        if height % size or width % size or not height * width:
            raise ValueError(
                f"images are {height} x {width} pixels, expected multiples of the patch size, {size}"
            )
        rows, columns = height // size, width // size
        patches = images.reshape(batch, rows, size, columns, size, channels).swapaxes(2, 3)
        options: Any = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        states = nn.Dense(self.width, name="patches", **options)(
            patches.reshape(batch, rows * columns, size * size * channels)
        )
        small = nn.initializers.normal(0.02)
        token = self.param("class_token", small, (1, self.width), self.param_dtype)
        positions = self.param(
            "positions", small, (1 + self.grid[0] * self.grid[1], self.width), self.param_dtype
        )
        positions = interpolated(positions, self.grid, (rows, columns))
        states, token, positions = nn.dtypes.promote_dtype(states, token, positions, dtype=self.dtype)
        tokens = jnp.broadcast_to(token[None], (batch, 1, self.width))
        return jnp.concatenate([tokens, states], axis=1) + positions[None]


class Block(nn.Module):
    """One block: attention and MLP, each preceded by a normalisation and added to its input.

    Attributes:
      heads: Number of heads in the attention.
      mlp_width: Hidden width of the MLP.
      layer_scale: True to scale each branch by a learned vector.
      epsilon: Epsilon of the layer normalisations.
      dtype: Dtype of the computation.
      param_dtype: Dtype of the parameters.
    """

    heads: int
    mlp_width: int
    layer_scale: bool
    epsilon: float
    dtype: DTypeLike | None
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, states: Float[Array, "batch token width"]) -> Float[Array, "batch token width"]:
        """Returns [B, T, D]."""
        options: Any = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        branches = (
            SelfAttention(self.heads, name="attention", **options),
            FeedForward(self.mlp_width, name="mlp", **options),
        )
        for number, branch in enumerate(branches, 1):
            norm = nn.LayerNorm(self.epsilon, name=f"norm_{number}", use_fast_variance=False, **options)
            added = branch(norm(states))
            if self.layer_scale:
                shape = states.shape[-1:]
                scale = self.param(f"scale_{number}", nn.initializers.constant(1e-5), shape, self.param_dtype)
                added = added * scale[None, None].astype(added.dtype)
            states = states + added
        return states


def interpolated(
    positions: Float[ArrayLike, "position width"], grid: tuple[int, int], size: tuple[int, int]
) -> Float[Array, "_ width"]:
    """Interpolates position embeddings to another grid of patches (bicubic), except for the class token's.

    Args:
      positions: Position embeddings, [1 + rows * columns, D].
      grid: Numbers of rows and columns of the given embeddings.
      size: Numbers of rows and columns of the new grid.

    Returns:
      Position embeddings of the new grid, [1 + rows * columns, D].

    >>> interpolated(jnp.arange(5.0)[:, None], (2, 2), (1, 1))[:, 0]
    Array([0. , 2.5], dtype=float32)
    """
    if grid == size:
        return jnp.asarray(positions)
    rows, columns = (
        jnp.asarray(cubic_weights(*pair), positions.dtype) for pair in zip(grid, size, strict=True)
    )
    image = positions[1:].reshape(*grid, -1)
    image = jnp.einsum("rh,cw,hwd->rcd", rows, columns, image)
    return jnp.concatenate([positions[:1], image.reshape(size[0] * size[1], -1)])


def cubic_weights(old: int, new: int) -> NDArray:
    """Computes the weights [new, old] of cubic interpolation between pixel centres, repeating the border.

    >>> cubic_weights(2, 1)
    array([[0.5, 0.5]])
    """
    middles = (np.arange(new) + 0.5) * old / new - 0.5
    below = np.floor(middles).astype(int)
    weights = np.zeros((new, old))
    for offset in range(-1, 3):
        distance = np.abs(middles - (below + offset))
        np.add.at(weights, (np.arange(new), np.clip(below + offset, 0, old - 1)), _cubic(distance))
    return weights


def _cubic(distance: NDArray) -> NDArray:
    near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1
    far = CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
