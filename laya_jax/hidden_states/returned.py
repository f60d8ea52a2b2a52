"""Extraction of the hidden state from a layer's output, whatever its structure."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from laya_jax.typing import Array

Output: TypeAlias = int | str | Callable[[Any], object] | None


class NoHiddenStateError(ValueError):
    """Raised when no hidden state can be extracted from a layer's output; describes the output."""


def hidden_state(returned: object, output: Output = None, arguments: object = ()) -> Array:
    """Extracts the hidden state from a layer's output, without ever guessing between two arrays.

    Without ``output``, it is the only array; else the only one besides scalars, masks, and integers of fewer
    axes; else the first of those, provided that it has the shape of the layer's first floating-point argument
    and all others have a different number of axes: ``(hidden, attention)``, as in Hugging Face's layers.

    Args:
      returned: Array, or any nesting of tuples, lists, mappings, dataclasses and pytrees.
      output: Index, key or attribute of one element, unless ``returned`` is an array; or a function of
        ``returned``.
      arguments: Arguments of the layer's call, in any nesting.

    Raises:
      NoHiddenStateError: There is no array, there are several candidates, or nothing at ``output``.

    >>> hidden_state((jnp.zeros((2, 3)), None)).shape
    (2, 3)
    >>> hidden_state({"cache": jnp.zeros((2, 5, 3)), "x": jnp.zeros((2, 3))}, "x").shape
    (2, 3)
    >>> pair = jnp.zeros((2, 5, 5)), jnp.zeros((2, 5, 3))
    >>> hidden_state(pair)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
      ...
    NoHiddenStateError: returns (float32[2,5,5], float32[2,5,3]), and it is not clear which to take
    """
    if callable(output):
        chosen = _called(output, returned)
    elif output is None or _is_array(returned):
        chosen = returned
    else:
        chosen = _element(returned, output)
    found = {id(array): array for array in arrays(chosen)}
    if not found:
        raise NoHiddenStateError(f"returns {describe(returned)}{_at(output)}, in which there is no array")
    candidates = list(found.values()) if len(found) == 1 else _candidates(list(found.values()))
    if len(candidates) == 1 or _first_stands_out(candidates, arguments):
        return jnp.asarray(candidates[0])
    raise NoHiddenStateError(
        f"returns {describe(returned)}{_at(output)}, and which of these is the hidden state is not clear; "
        f"expected {_choices(returned)}"
    )


def check_output(output: object) -> None:
    """Checks that ``output`` is an index, a key, a function or None.

    >>> check_output("last_hidden_state")
    """
    if isinstance(output, bool) or not (output is None or isinstance(output, int | str) or callable(output)):
        raise TypeError(f"output is {output!r}, expected an index, a key, a function or None")


def arrays(value: object) -> Iterator[Array]:
    """Yields all arrays in a value, in order, except those in modules.

    >>> [array.shape for array in arrays({"a": (jnp.zeros(2), None), "b": [jnp.zeros(3)]})]
    [(2,), (3,)]
    """
    if _is_array(value):
        yield value
    elif not _is_module(value):
        for _, child in _children(value):
            yield from arrays(child)


def describe(value: object) -> str:
    """Formats the structure of a value, with arrays as dtype and shape.

    >>> describe({"x": jnp.zeros((2, 3)), "cache": None})
    "{'x': float32[2,3], 'cache': None}"
    """
    text = _described(value)
    return text if len(text) <= 300 else f"{text[:297]}..."


def _described(value: object) -> str:
    if _is_array(value):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    if value is None:
        return "None"
    children = [] if _is_module(value) else _children(value)
    if not isinstance(value, tuple | list | Mapping) and not children:
        return type(value).__name__
    if _is_record(value):
        inside = ", ".join(f"{key}={_described(child)}" for key, child in children if child is not None)
        return f"{type(value).__name__}({inside})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_described(child)}" for key, child in children) + "}"
    inside = ", ".join(_described(child) for _, child in children)
    return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(children) == 1 else ''})"


def _children(value: Any) -> list[tuple[object, object]]:
    """Returns the elements of a value by index, key or attribute; empty if it has none."""
    if _is_record(value):
        names = getattr(value, "_fields", None) or [field.name for field in dataclasses.fields(value)]
        return [(name, getattr(value, name, None)) for name in names]
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, tuple | list):
        return list(enumerate(value))
    leaves = jax.tree.leaves(value)
    return [] if len(leaves) == 1 and leaves[0] is value else list(enumerate(leaves))


def _is_array(value: object) -> TypeGuard[Array]:
    return isinstance(value, jax.Array | np.ndarray)


def _is_record(value: object) -> bool:
    named_tuple = isinstance(value, tuple) and hasattr(value, "_fields")
    return named_tuple or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _is_module(value: object) -> bool:
    """Returns True for a Linen or NNX module, whose arrays are parameters, without importing either."""
    return any(base.__module__ in ("flax.linen.module", "flax.nnx.module") for base in type(value).__mro__)


def _called(output: Callable[[Any], object], returned: object) -> object:
    try:
        return output(returned)
    except Exception as error:
        name = type(error).__name__
        raise NoHiddenStateError(
            f"returns {describe(returned)}, for which output raises {name}: {error}"
        ) from error


def _element(returned: Any, output: int | str) -> object:
    try:
        return returned[output]
    except (KeyError, IndexError, TypeError):
        attribute = getattr(returned, output, None) if isinstance(output, str) else None
        if attribute is not None:
            return attribute
    raise NoHiddenStateError(
        f"returns {describe(returned)}, which has nothing at output={output!r}; expected {_choices(returned)}"
    )


def _at(output: Output) -> str:
    if output is None:
        return ""
    return f" (output={getattr(output, '__name__', 'function') if callable(output) else repr(output)})"


def _choices(returned: object) -> str:
    keys = [key for key, child in _children(returned) if next(arrays(child), None) is not None]
    function = "a function of what it returns"
    return ", ".join([*(f"output={key!r}" for key in keys), f"or {function}"]) if keys else function


def _may_be_hidden(array: Array) -> bool:
    return array.ndim > 0 and bool(jnp.issubdtype(array.dtype, jnp.inexact))


def _candidates(found: list[Array]) -> list[Array]:
    """Arrays that may be hidden states: floating-point ones, and integers that may be quantized ones."""
    fewest = min((array.ndim for array in found if _may_be_hidden(array)), default=1)

    def is_quantized(array: Array) -> bool:
        return array.ndim >= fewest and bool(jnp.issubdtype(array.dtype, jnp.integer))

    return [array for array in found if _may_be_hidden(array) or is_quantized(array)]


def _first_stands_out(candidates: list[Array], arguments: object) -> bool:
    argument = next(filter(_may_be_hidden, arrays(arguments)), None)
    if not candidates or argument is None:
        return False
    first, *others = candidates
    return first.shape == argument.shape and all(other.ndim != first.ndim for other in others)
