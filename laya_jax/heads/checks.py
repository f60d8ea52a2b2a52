"""Checks of the heads' arguments: hidden states, masks, temperature and parameters."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from laya_jax.heads.layer_attention import SMALLEST_TEMPERATURE
from laya_jax.heads.parameters import Shapes, flat_shapes
from laya_jax.typing import Array, ArrayLike, HiddenStates

M = TypeVar("M", bound=ArrayLike)


def check_temperature(temperature: object, name: str = "temperature") -> None:
    """Raises unless the temperature is a number greater than zero (in float32).

    >>> check_temperature(0.0)
    Traceback (most recent call last):
      ...
    ValueError: temperature is 0.0, expected a number of at least 1.2e-38
    """
    if isinstance(temperature, bool) or not isinstance(temperature, Real):
        raise TypeError(f"{name} is {temperature!r}, expected a number")
    if not float(temperature) >= SMALLEST_TEMPERATURE:
        raise ValueError(f"{name} is {temperature}, expected a number of at least 1.2e-38")


def check_hidden_states(hidden_states: object) -> HiddenStates:
    """Returns the hidden states as a tuple of arrays [B, d_i] or as one array [L, B, D], or raises.

    >>> check_hidden_states([])
    Traceback (most recent call last):
      ...
    ValueError: hidden_states is empty, expected at least one array [batch, width]
    """
    if isinstance(hidden_states, Mapping):
        raise TypeError(
            "hidden_states is a mapping, expected an ordered sequence: under jit a mapping comes back "
            "sorted by key, and layer_10 then precedes layer_2"
        )
    if isinstance(hidden_states, jax.Array | np.ndarray):
        return _check_stacked(jnp.asarray(hidden_states))
    if not isinstance(hidden_states, Sequence) or isinstance(hidden_states, str):
        raise TypeError(
            f"hidden_states is a {type(hidden_states).__name__}, expected a sequence of arrays "
            "[batch, width] or one array [layer, batch, width]"
        )
    if not hidden_states:
        raise ValueError("hidden_states is empty, expected at least one array [batch, width]")
    arrays = tuple(_check_array(f"hidden_states[{i}]", state, 2) for i, state in enumerate(hidden_states))
    batches = [array.shape[0] for array in arrays]
    if len(set(batches)) > 1:
        raise ValueError(f"hidden_states have batch sizes {batches}, expected the same for all")
    return arrays


def _check_stacked(array: Array) -> Array:
    if array.ndim == 2:
        raise ValueError(
            f"hidden_states is one array of shape {array.shape}, expected a sequence of such arrays "
            "(for a single layer, a sequence of one) or one array [layer, batch, width]"
        )
    _check_array("hidden_states", array, 3)
    if array.shape[0] == 0:
        raise ValueError(f"hidden_states has shape {array.shape}, expected at least one layer")
    return array


def _check_array(name: str, array: object, rank: int) -> Array:
    if not isinstance(array, jax.Array | np.ndarray):
        raise TypeError(f"{name} is a {type(array).__name__}, expected an array")
    expected = "[batch, width]" if rank == 2 else "[layer, batch, width]"
    if array.ndim != rank:
        raise ValueError(
            f"{name} has shape {array.shape}, expected {expected}; hidden states with further axes "
            "need a pooling: laya_jax.pool(hidden_state, 'mean')"
        )
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} has dtype {array.dtype}, expected floating point")
    if array.shape[-1] == 0:
        raise ValueError(f"{name} has shape {array.shape}, expected a width of at least 1")
    return jnp.asarray(array)


def check_static_mask(layer_mask: object) -> tuple[bool, ...] | None:
    """Returns a mask for all samples as a (hashable) tuple, or raises.

    >>> check_static_mask(np.array([True, False]))
    (True, False)
    """
    if layer_mask is None:
        return None
    mask = np.asarray(layer_mask)
    if mask.ndim != 1:
        raise ValueError(f"layer_mask has shape {mask.shape}, expected one value per layer")
    return tuple(_check_known_mask(mask).tolist())


def check_layer_masks(static: object, given: object, batch: int, layers: int) -> Array | np.ndarray | None:
    """Returns the conjunction of both masks, [L] or [B, L], None without any mask, or raises.

    Whether every sample has a layer left is only checked for known values, not for masks traced by jit.

    >>> check_layer_masks(None, [True, False], batch=8, layers=3)
    Traceback (most recent call last):
      ...
    ValueError: layer_mask has shape (2,), expected (3,) or (8, 3)
    """
    kept: ArrayLike | None = None
    for mask in (static, given):
        if mask is None:
            continue
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(mask))
        mask = jnp.asarray(mask) if traced else np.asarray(mask)
        if mask.shape not in ((layers,), (batch, layers)):
            raise ValueError(
                f"layer_mask has shape {mask.shape}, expected ({layers},) or ({batch}, {layers})"
            )
        _check_known_mask(mask)
        kept = mask if kept is None else _check_known_mask(np.broadcast_to(kept, mask.shape) & mask)
    return kept


def check_last_layer_kept(layer_mask: Array | np.ndarray | None) -> None:
    """Raises if the mask is known to exclude the last layer, the only one that a last-layer head reads.

    >>> check_last_layer_kept(np.array([True, False]))
    Traceback (most recent call last):
      ...
    ValueError: layer_mask masks the last layer, the only one that this head reads
    """
    if isinstance(layer_mask, np.ndarray) and not layer_mask[..., -1].all():
        raise ValueError("layer_mask masks the last layer, the only one that this head reads")


def check_parameters(parameters: Mapping[str, object], shapes: Shapes, reason: str) -> None:
    """Raises unless the parameters have exactly these names and shapes; ``reason`` says what requires them.

    >>> parameters = {"classifier": {"kernel": jnp.ones((4, 2)), "bias": jnp.ones(2)}}
    >>> check_parameters(parameters, {"classifier": {"kernel": (3, 2), "bias": (2,)}}, "width 3")
    Traceback (most recent call last):
      ...
    ValueError: parameters do not fit width 3: classifier/kernel has shape (4, 2), expected (3, 2)
    """
    held, expected = dict(flat_shapes(parameters)), dict(flat_shapes(shapes))
    differences = [
        *(f"{name} is missing" for name in expected if name not in held),
        *(f"{name} is not expected" for name in held if name not in expected),
        *(
            f"{name} has shape {held[name]}, expected {shape}"
            for name, shape in expected.items()
            if held.get(name, shape) != shape
        ),
    ]
    if differences:
        raise ValueError(f"parameters do not fit {reason}: {'; '.join(differences)}")


def _check_known_mask(mask: M) -> M:
    if mask.dtype != bool:
        raise TypeError(f"layer_mask has dtype {mask.dtype}, expected bool (True keeps a layer)")
    if not isinstance(mask, jax.core.Tracer) and not mask.any(axis=-1).all():
        raise ValueError("layer_mask masks every layer, expected at least one True for every sample")
    return mask
