"""Pooling: a hidden state with axes between batch and width becomes [B, D]."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from laya_jax.checks import check_choice
from laya_jax.typing import Array, Bool, Float


def pool(
    hidden_state: Float[Array, "batch *positions width"],
    pooling: str,
    mask: Bool[Array, "batch *positions"] | None = None,
) -> Float[Array, "batch width"]:
    """Pools a hidden state over its positions (tokens, or the pixels of a feature map).

    Args:
      hidden_state: [B, ..., D]; one of [B, D] is returned as it is.
      pooling: "mean" or "max" over all positions; "cls", the first token; "last", the last token.
      mask: True where there is something, [B, ...]; "mean", "max" and "last" pass over the rest, and a
        sample with nothing at all becomes zeros.

    Returns:
      [B, D], in the dtype of the hidden state.

    Raises:
      TypeError: a mask that is no bool.
      ValueError: an unknown pooling; no batch or width axis; "cls" or "last" of something that is no
        sequence of tokens; a mask of another shape.

    >>> tokens = jnp.array([[[1.0], [5.0], [7.0]]])
    >>> mask = jnp.array([[True, True, False]])
    >>> [float(pool(tokens, pooling, mask)[0, 0]) for pooling in ("mean", "max", "cls", "last")]
    [3.0, 5.0, 1.0, 5.0]
    """
    check_choice("pooling", pooling, tuple(POOLINGS))
    if jnp.ndim(hidden_state) < 2:
        raise ValueError(f"hidden_state has shape {jnp.shape(hidden_state)}, expected [batch, ..., width]")
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
    mask = _check_mask(mask, (batch, *positions))
    flat = hidden_state.reshape(batch, -1, width)
    return POOLINGS[pooling](flat, mask.reshape(batch, -1)).astype(hidden_state.dtype)


def _check_mask(mask: Any, shape: tuple[int, ...]) -> Array:
    if mask is None:
        return jnp.ones(shape, bool)
    mask = mask if isinstance(mask, jax.Array) else np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"mask has dtype {mask.dtype}, expected bool (True where there is something)")
    if mask.shape != shape:
        raise ValueError(f"mask has shape {mask.shape}, expected {shape}")
    return jnp.asarray(mask)


def _mean(tokens: Array, mask: Array) -> Array:
    precise = tokens.astype(jnp.promote_types(tokens.dtype, jnp.float32))
    count = jnp.sum(mask, axis=1)[:, None]
    return jnp.sum(jnp.where(mask[..., None], precise, 0), axis=1) / jnp.maximum(count, 1)


def _max(tokens: Array, mask: Array) -> Array:
    largest = jnp.max(jnp.where(mask[..., None], tokens, -jnp.inf), axis=1)
    return jnp.where(jnp.any(mask, axis=1)[:, None], largest, 0)


def _cls(tokens: Array, mask: Array) -> Array:
    del mask  # the class token is always there
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
}
