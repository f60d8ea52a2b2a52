"""Types used in signatures.

Shapes are annotated with jaxtyping, which is not a dependency of the heads: without it, annotations remain
readable but unchecked. The test suite installs it and checks them in every call.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jax import Array

if TYPE_CHECKING:
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ImportError:

        class Unchecked:
            """Stands for a jaxtyping type: ``Float[Array, "batch dim"]`` is then just ``Array``."""

            def __class_getitem__(cls, array_and_shape: tuple[object, str]) -> object:
                return array_and_shape[0]

        Bool = Float = Int = Unchecked

ArrayLike: TypeAlias = Array | np.ndarray
"""Array of JAX or NumPy, where a function accepts both."""

PyTree: TypeAlias = Any
"""Any nesting of containers that JAX knows, usually with arrays as leaves."""

Affine: TypeAlias = Mapping[str, Array]
"""Kernel ``[in, out]`` and bias ``[out]`` of one affine map."""

Parameters: TypeAlias = Mapping[str, PyTree]
"""Parameters by name, as in ``variables["params"]`` of a Linen module."""

HiddenStates: TypeAlias = Sequence[Float[ArrayLike, "batch _"]] | Float[ArrayLike, "layer batch width"]
"""Ordered hidden states of L layers: L arrays ``[B, d_i]``, or one array ``[L, B, D]``."""

Captured: TypeAlias = tuple[Array, ...] | Array
"""Hidden states of L layers, which may not be pooled: L arrays ``[B, ...]``, or one array ``[L, B, ...]``."""

LayerMask: TypeAlias = Bool[ArrayLike, " layer"] | Bool[ArrayLike, "batch layer"]
"""True for each layer that a head may use: for all examples ``[L]``, or for each ``[B, L]``."""

LayerMaskLike: TypeAlias = LayerMask | Sequence[object]
"""A ``LayerMask``, or what NumPy makes one of."""

JsonObject: TypeAlias = dict[str, Any]
"""Object of a JSON file, whose values are checked where they are read."""

__all__ = [
    "Affine",
    "Array",
    "ArrayLike",
    "Bool",
    "Captured",
    "Float",
    "HiddenStates",
    "Int",
    "JsonObject",
    "LayerMask",
    "LayerMaskLike",
    "Parameters",
    "PyTree",
]
