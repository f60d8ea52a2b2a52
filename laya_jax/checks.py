"""Checks of arguments: each raises an error that names the argument, its value and what was expected.

Values to check may be anything and are therefore objects.
"""

import math
import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import SupportsIndex, cast

import jax
import jax.numpy as jnp
import numpy as np

from laya_jax.typing import Array


def check_count(name: str, value: object, least: int = 1) -> None:
    """Raises unless ``value`` is a whole number of at least ``least``.

    >>> check_count("dim", 0)
    Traceback (most recent call last):
      ...
    ValueError: dim is 0, expected at least 1
    """
    try:
        whole = operator.index(cast(SupportsIndex, value))
    except TypeError:
        raise TypeError(f"{name} is {value!r}, expected a whole number") from None
    if whole < least:
        raise ValueError(f"{name} is {value}, expected at least {least}")


def check_counts(name: str, values: object) -> None:
    """Raises unless ``values`` are one or more whole numbers of at least 1.

    >>> check_counts("widths", ())
    Traceback (most recent call last):
      ...
    ValueError: widths is empty, expected at least one
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"{name} is {values!r}, expected a sequence of whole numbers")
    if not values:
        raise ValueError(f"{name} is empty, expected at least one")
    for index, value in enumerate(values):
        check_count(f"{name}[{index}]", value)


def check_number(
    name: str, value: object, valid: Callable[[float], bool] = math.isfinite, expected: str = "that is finite"
) -> None:
    """Raises unless ``value`` is a finite number for which ``valid`` holds; ``expected`` describes it.

    >>> check_number("label_smoothing", 1.0, lambda share: 0 <= share < 1, "from 0 to below 1")
    Traceback (most recent call last):
      ...
    ValueError: label_smoothing is 1.0, expected a number from 0 to below 1
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}, expected a number")
    if not (math.isfinite(value) and valid(float(value))):
        raise ValueError(f"{name} is {value}, expected a number {expected}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raises unless ``value`` is one of ``choices``.

    >>> check_choice("psi", "mpl", ("identity", "mlp"))
    Traceback (most recent call last):
      ...
    ValueError: psi is 'mpl', expected one of 'identity', 'mlp'
    """
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}")


def check_position_mask(mask: object, shape: tuple[int, ...]) -> Array:
    """Returns a mask over positions (tokens, pixels) as a boolean array of this shape, or raises.

    >>> check_position_mask([[True]], (1, 2))
    Traceback (most recent call last):
      ...
    ValueError: mask has shape (1, 1), expected (1, 2)
    """
    mask = mask if isinstance(mask, jax.Array) else np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"mask has dtype {mask.dtype}, expected bool (True for each position that counts)")
    if mask.shape != shape:
        raise ValueError(f"mask has shape {mask.shape}, expected {shape}")
    return jnp.asarray(mask)
