"""Check of the package's annotations while tests run, for ``--jaxtyping-packages``."""

import typing
from collections.abc import Callable

from beartype import beartype
from jaxtyping import AbstractArray


def checked(function: Callable) -> Callable:
    """Checks the arguments and results that are annotated with the dtype and shape of an array."""
    hints = {name: hint for name, hint in function.__annotations__.items() if _has_shape(hint)}
    if not hints:
        return function
    function.__annotations__ = hints
    return beartype(function)


def _has_shape(hint: object) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(_has_shape, typing.get_args(hint)))
