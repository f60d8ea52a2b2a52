"""Conversion of measurements to JSON values."""

from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Converts named tuples to objects, and arrays and tuples to lists.

    >>> plain({"shape": (2, 3), "values": np.array([0.5])})
    {'shape': [2, 3], 'values': [0.5]}
    """
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value
