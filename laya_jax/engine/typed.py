"""Construction of dataclasses from untrusted JSON, with every value checked against its type hint."""

import dataclasses
import typing
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union

from laya_jax.files import read_json

T = TypeVar("T")

LARGEST = 2**63
"""Integers of at least this value are rejected, since they fit no array dtype."""

SHOWN = 60
"""Maximum number of characters of an invalid value shown in a message."""

NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dict: "an object",
    NoneType: "null",
}
"""Names of the JSON types."""


class _MismatchError(Exception):
    """A value that does not fit its type hint."""


def from_json(kind: type[T], values: object, prefix: str = "") -> T:
    """Constructs a dataclass from a JSON object.

    Args:
      kind: Dataclass whose fields are scalars, strings, lists, tuples, mappings or dataclasses.
      values: Decoded JSON value. Fields with a default may be missing.
      prefix: Name of the object followed by a dot, for messages.

    Raises:
      ValueError: A field is missing, unknown, of the wrong type, or rejected by the dataclass.

    >>> @dataclasses.dataclass
    ... class Point:
    ...     position: tuple[int, ...]
    ...     name: str | None = None
    >>> from_json(Point, {"position": [1, 2]})
    Point(position=(1, 2), name=None)
    >>> from_json(Point, {"position": [1, True]})
    Traceback (most recent call last):
      ...
    ValueError: position is [1, True], expected a list of items, each a whole number
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{prefix.removesuffix('.') or 'content'} is {_short(values)}, expected an object")
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise ValueError(f"{prefix}{name} is a field that this version does not know")
    for field in dataclasses.fields(typing.cast(Any, kind)):
        needed = field.default is field.default_factory is dataclasses.MISSING
        if needed and field.name not in values:
            raise ValueError(f"{prefix}{field.name} is missing")
    return kind(**{name: _read(hints[name], value, f"{prefix}{name}") for name, value in values.items()})


def read_record(kind: type[T], path: Path) -> T:
    """Constructs a dataclass from a JSON file.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read, or does not fit the dataclass; the message names it.
    """
    values = read_json(path)
    try:
        return from_json(kind, values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _read(hint: Any, value: object, name: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    kinds = [kind for kind in (hint, *inner) if dataclasses.is_dataclass(kind)]
    if origin is dict and isinstance(value, Mapping):
        return {each: _read(inner[1], item, f"{name}.{each}") for each, item in value.items()}
    if kinds and not (value is None and NoneType in inner):
        return from_json(typing.cast(type, kinds[0]), value, f"{name}.")
    try:
        return _fitted(hint, value)
    except _MismatchError:
        raise ValueError(f"{name} is {_short(value)}, expected {_described(hint)}") from None


def _fitted(hint: Any, value: object) -> Any:
    """Converts a value to its type hint: lists to tuples, integers to floats."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, UnionType):
        for option in inner:
            with suppress(_MismatchError):
                return _fitted(option, value)
    elif origin is Literal:
        if isinstance(value, str) and value in inner:
            return value
    elif origin in (tuple, list) and isinstance(value, list | tuple):
        items = inner[:1] * len(value) if origin is list or inner[-1] is Ellipsis else inner
        if len(items) == len(value):
            return origin(_fitted(item, each) for item, each in zip(items, value, strict=True))
    elif origin is dict and isinstance(value, Mapping):
        return {name: _fitted(inner[1], each) for name, each in value.items()}
    elif hint in (Any, object):
        return value
    elif not isinstance(value, int) or isinstance(value, bool):
        if type(value) is hint:
            return value
    elif hint in (int, float) and abs(value) < LARGEST:
        return hint(value)
    raise _MismatchError


def _described(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(_described, inner))
    if origin is Literal:
        return f"one of {', '.join(map(repr, inner))}"
    if origin in (tuple, list):
        length = "" if origin is list or inner[-1] is Ellipsis else f"{len(inner)} "
        return f"a list of {length}items, each {_described(inner[0])}"
    return NAMES.get(origin or hint, "another value")


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]} ..."
