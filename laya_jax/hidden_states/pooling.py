"""Pooling of hidden states over the axes between batch and width, to [B, D]."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from laya_jax.checks import check_choice, check_position_mask
from laya_jax.typing import Array, ArrayLike, Bool, Float


def pool(
    hidden_state: Float[ArrayLike, "batch *positions width"],
    pooling: str,
    mask: Bool[ArrayLike, "batch *positions"] | None = None,
) -> Float[Array, "batch width"]:
    """Pools a hidden state over its positions (tokens, or the pixels of a feature map).

    Args:
      hidden_state: Hidden state [B, ..., D]; [B, D] is returned unchanged.
      pooling: "mean", "max" or "std" (standard deviation) over all positions; "cls", the first token; "last",
        the last token.
      mask: True for each valid position, [B, ...]; all but "cls" ignore the other positions, and a sample
        without valid positions becomes zeros.

    Returns:
      Pooled hidden state [B, D], in the dtype of the hidden state.

    Raises:
      TypeError: The hidden state is not a floating-point array, or the mask is not boolean.
      ValueError: The pooling is unknown, the batch or width axis is missing, "cls" or "last" is applied to
        something other than a sequence of tokens, or the mask has a different shape.

    >>> tokens = jnp.array([[[1.0], [5.0], [7.0]]])
    >>> mask = jnp.array([[True, True, False]])
    >>> [float(pool(tokens, pooling, mask)[0, 0]) for pooling in ("mean", "max", "cls", "last")]
    [3.0, 5.0, 1.0, 5.0]
    """
    check_choice("pooling", pooling, tuple(POOLINGS))
    if not isinstance(hidden_state, jax.Array | np.ndarray):
        raise TypeError(f"hidden_state is a {type(hidden_state).__name__}, expected an array")
    hidden_state = jnp.asarray(hidden_state)
    if hidden_state.ndim < 2:
        raise ValueError(f"hidden_state has shape {hidden_state.shape}, expected [batch, ..., width]")
    if not jnp.issubdtype(hidden_state.dtype, jnp.floating):
        raise TypeError(f"hidden_state has dtype {hidden_state.dtype}, expected floating point")
    if hidden_state.ndim == 2:
        return hidden_state
    if pooling in ("cls", "last") and hidden_state.ndim != 3:
        raise ValueError(
            f"hidden_state has shape {hidden_state.shape}, "
            f"expected [batch, token, width] for pooling {pooling!r}"
        )
    batch, *positions, width = hidden_state.shape
    if 0 in positions:
        raise ValueError(f"hidden_state has shape {hidden_state.shape}, expected at least one position")
    shape, count = (batch, *positions), math.prod(positions)
    kept = jnp.ones(shape, bool) if mask is None else check_position_mask(mask, shape)
    pooled = POOLINGS[pooling](hidden_state.reshape(batch, count, width), kept.reshape(batch, count))
    return pooled.astype(hidden_state.dtype)


def _mean(tokens: Array, mask: Array) -> Array:
    precise = tokens.astype(jnp.promote_types(tokens.dtype, jnp.float32))
    count = jnp.sum(mask, axis=1)[:, None]
    return jnp.sum(jnp.where(mask[..., None], precise, 0), axis=1) / jnp.maximum(count, 1)


def _std(tokens: Array, mask: Array) -> Array:
    precise = tokens.astype(jnp.promote_types(tokens.dtype, jnp.float32))
    centred = jnp.where(mask[..., None], precise - _mean(precise, mask)[:, None], 0)
    variance = _mean(jnp.square(centred), mask)
    # The square root has no derivative at zero.
    return jnp.where(variance > 0, jnp.sqrt(jnp.where(variance > 0, variance, 1)), 0)


def _max(tokens: Array, mask: Array) -> Array:
    largest = jnp.max(jnp.where(mask[..., None], tokens, -jnp.inf), axis=1)
    return jnp.where(jnp.any(mask, axis=1)[:, None], largest, 0)


def _cls(tokens: Array, mask: Array) -> Array:
    del mask  # the class token is always valid
    return tokens[:, 0]


def _last(tokens: Array, mask: Array) -> Array:
    length = mask.shape[1]
    last = length - 1 - jnp.argmax(jnp.flip(mask, axis=1), axis=1)
    token = jnp.take_along_axis(tokens, last[:, None, None], axis=1)[:, 0]
    return jnp.where(jnp.any(mask, axis=1)[:, None], token, 0)


POOLINGS: dict[str, Callable[[Array, Array], Array]] = {
    "mean": _mean,
    "max": _max,
    "cls": _cls,
    "last": _last,
    "std": _std,
}
