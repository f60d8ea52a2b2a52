"""Types used in signatures.

Shapes are annotated with jaxtyping, which is not a dependency of the heads: without it, annotations remain
readable but unchecked. The test suite installs it and checks every call of the mathematics.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

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

            def __class_getitem__(cls, array_and_shape: tuple[Any, str]) -> Any:
                return array_and_shape[0]

        Bool = Float = Int = Unchecked

Affine: TypeAlias = Mapping[str, Array]
"""Kernel ``[in, out]`` and bias ``[out]`` of one affine map."""

Parameters: TypeAlias = Mapping[str, Any]
"""A head's parameters by name, as in ``variables["params"]`` of the Linen module."""

HiddenStates: TypeAlias = Sequence[Float[Array, "batch _"]] | Float[Array, "layer batch width"]
"""Ordered hidden states of L layers: L arrays ``[B, d_i]``, or one array ``[L, B, D]``."""

__all__ = ["Affine", "Array", "Bool", "Float", "HiddenStates", "Int", "Parameters"]
