"""Parameters of heads as plain trees: shapes, counts, initial values and dtypes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from laya_jax.typing import Affine, Array, HiddenStates, Parameters, PyTree

Shapes: TypeAlias = dict[str, PyTree]
"""Shapes of parameters by name: ``{"kernel": (in, out), "bias": (out,)}`` for an affine map."""


def affine_shapes(width: int, dim: int) -> Shapes:
    """Returns the shapes of an affine map between these widths.

    >>> affine_shapes(3, 2)
    {'kernel': (3, 2), 'bias': (2,)}
    """
    return {"kernel": (width, dim), "bias": (dim,)}


def adapter_shapes(widths: Sequence[int], dim: int) -> Shapes:
    """Returns the shapes of the affine maps that project hidden states of these widths to one width.

    >>> list(adapter_shapes([3, 4], dim=2))
    ['adapter_0', 'adapter_1']
    """
    return {f"adapter_{i}": affine_shapes(width, dim) for i, width in enumerate(widths)}


def hidden_widths(hidden_states: HiddenStates) -> tuple[int, ...]:
    """Returns the widths of the hidden states, in order.

    >>> hidden_widths([jnp.ones((1, 3)), jnp.ones((1, 4))])
    (3, 4)
    """
    return tuple(state.shape[-1] for state in hidden_states)


def parameter_count(shapes: Shapes) -> int:
    """Counts the parameters of these shapes.

    >>> parameter_count({"classifier": affine_shapes(3, 2)})
    8
    """
    return sum(math.prod(shape) for _, shape in flat_shapes(shapes))


def flat_shapes(shapes: Mapping[str, PyTree], prefix: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields the path and shape of every parameter, from a tree of shapes or arrays.

    >>> dict(flat_shapes({"classifier": {"kernel": (4, 2), "bias": (2,)}}))
    {'classifier/kernel': (4, 2), 'classifier/bias': (2,)}
    """
    for name, value in shapes.items():
        if isinstance(value, Mapping):
            yield from flat_shapes(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value if isinstance(value, tuple) else jnp.shape(value)


def initial_value(
    key: Array,
    shape: Shapes | tuple[int, ...],
    kernel_init: Initializer,
    bias_init: Initializer,
    dtype: DTypeLike,
) -> Affine | Array:
    """Draws the initial value of one entry of a head's parameters: an affine map, or free scores (zeros).

    >>> value = initial_value(
    ...     jax.random.key(0),
    ...     {"kernel": (3, 2), "bias": (2,)},
    ...     jax.nn.initializers.ones,
    ...     jax.nn.initializers.zeros,
    ...     "f4",
    ... )
    >>> value["bias"]
    Array([0., 0.], dtype=float32)
    """
    if isinstance(shape, tuple):
        return jnp.zeros(shape, dtype)
    kernel_key, bias_key = jax.random.split(key)
    return {
        "kernel": kernel_init(kernel_key, shape["kernel"], dtype),
        "bias": bias_init(bias_key, shape["bias"], dtype),
    }


def promote(
    parameters: Parameters, hidden_states: HiddenStates, dtype: DTypeLike | None
) -> tuple[Parameters, HiddenStates]:
    """Casts parameters and hidden states to ``dtype``, or to their common promoted dtype if it is None.

    >>> _, hidden_states = promote({"scores": jnp.zeros(2)}, [jnp.ones((1, 3), jnp.bfloat16)], None)
    >>> hidden_states[0].dtype
    dtype('float32')
    """
    leaves, structure = jax.tree.flatten((parameters, hidden_states))
    return jax.tree.unflatten(structure, promote_dtype(*leaves, dtype=dtype))
