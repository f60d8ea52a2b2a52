"""Parts shared by vision and text transformers: self-attention, and the MLP after it."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from laya_jax.heads import gelu
from laya_jax.hidden_states import POOLINGS, pool
from laya_jax.typing import Array, ArrayLike, Bool, Float


class Transformer(nn.Module):
    """Base class of the backbones whose sizes and weights are read from files."""

    @property
    def example(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of an input, for initialisation."""
        raise TypeError("Transformer is abstract, expected one of its subclasses")


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Example::

      >>> attention = SelfAttention(heads=2)
      >>> attention.init_with_output(jax.random.key(0), jnp.ones((1, 3, 8)))[0].shape
      (1, 3, 8)

    Reference: Vaswani et al. 2017.

    Attributes:
      heads: Number of attention heads, each for its own slice of the width.
      dtype: Dtype of the computation; None means the one that parameters and input promote to.
      param_dtype: Dtype of the parameters.
    """

    heads: int
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, states: Float[Array, "batch token width"], mask: Bool[ArrayLike, "batch token"] | None = None
    ) -> Float[Array, "batch token width"]:
        """Returns [B, T, D]; positions where the mask is False receive no attention."""
        batch, length, width = states.shape
        options: Any = {"dtype": self.dtype, "param_dtype": self.param_dtype}

        def projected(name: str) -> Array:
            parts = nn.Dense(width, name=name, **options)(states)
            return parts.reshape(batch, length, self.heads, width // self.heads).swapaxes(1, 2)

        mixed = dot_product_attention(projected("query"), projected("key"), projected("value"), mask)
        return nn.Dense(width, name="out", **options)(mixed.swapaxes(1, 2).reshape(batch, length, width))


def dot_product_attention(
    query: Float[Array, "batch head token width"],
    key: Float[Array, "batch head source width"],
    value: Float[Array, "batch head source width"],
    mask: Bool[ArrayLike, "batch source"] | None = None,
) -> Float[Array, "batch head token width"]:
    """Computes ``softmax(query key^T / sqrt(width)) value``, with the softmax in float32.

    ``jax.nn.dot_product_attention`` computes the same, but more slowly on a CPU.

    >>> query, key, value = jnp.zeros((1, 1, 1, 1)), jnp.zeros((1, 1, 2, 1)), jnp.array([[[[1.0], [3.0]]]])
    >>> dot_product_attention(query, key, value)
    Array([[[[2.]]]], dtype=float32)
    """
    query = query / query.shape[-1] ** 0.5
    scores = jnp.einsum("bhqd,bhkd->bhqk", query, key, preferred_element_type=jnp.float32)
    if mask is not None:
        scores = jnp.where(mask[:, None, None, :], scores, float(np.finfo(np.float32).min))
    attention = jax.nn.softmax(scores).astype(value.dtype)
    return jnp.einsum("bhqk,bhkd->bhqd", attention, value)


class FeedForward(nn.Module):
    """``Dense(GELU(Dense(x)))`` at every position.

    Example::

      >>> FeedForward(width=32).init_with_output(jax.random.key(0), jnp.ones((1, 3, 8)))[0].shape
      (1, 3, 8)

    Attributes:
      width: Hidden width.
      dtype: Dtype of the computation; None means the one that parameters and input promote to.
      param_dtype: Dtype of the parameters.
    """

    width: int
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, states: Float[Array, "batch token width"]) -> Float[Array, "batch token width"]:
        """Returns [B, T, D]."""
        options: Any = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        hidden = gelu(nn.Dense(self.width, name="hidden", **options)(states))
        return nn.Dense(states.shape[-1], name="out", **options)(hidden)


def pooled(
    states: Float[Array, "batch token width"],
    pooling: str,
    mask: Bool[ArrayLike, "batch token"] | None = None,
) -> Array:
    """Pools a hidden state over positions to [B, D], or to [B, 2 D] for "cls+mean".

    The mask of a vision transformer excludes the class token, which comes first, from the mean.

    >>> pooled(jnp.array([[[1.0], [5.0], [7.0]]]), "cls+mean", jnp.array([[False, True, True]]))
    Array([[1., 6.]], dtype=float32)
    """
    return jnp.concatenate([pool(states, part, mask) for part in pooling.split("+")], axis=-1)


def check_pooling(pooling: str | None) -> None:
    """Checks that a value is a pooling, several joined by "+", or None.

    >>> check_pooling("cls+sum")
    Traceback (most recent call last):
      ...
    ValueError: pooling is 'cls+sum', expected some of mean, max, cls, last, std joined by '+', or None
    """
    if pooling is not None and not set(pooling.split("+")) <= set(POOLINGS):
        raise ValueError(
            f"pooling is {pooling!r}, expected some of {', '.join(POOLINGS)} joined by '+', or None"
        )
