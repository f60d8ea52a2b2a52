"""Checker of annotated arrays, which jaxtyping applies to every function of the package (pyproject.toml)."""

import typing
from collections.abc import Callable
from typing import Any

from beartype import beartype
from jaxtyping import AbstractArray


def checked(function: Callable) -> Callable:
    """Checks dtypes and shapes of arguments and results after every call that succeeds.

    jaxtyping passes two stand-ins of a function: one to check before the call, whose result is Any, and one
    for afterwards. Only the latter is checked, since a function that rejects an argument says why itself.
    Other annotations are left to mypy.
    """
    hints = {name: hint for name, hint in function.__annotations__.items() if _has_shape(hint)}
    if not hints or function.__annotations__.get("return") is Any:
        return function
    function.__annotations__ = hints
    return beartype(function)


def _has_shape(hint: object) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(_has_shape, typing.get_args(hint)))
