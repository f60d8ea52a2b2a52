"""Layer-attention output heads for JAX: predict from all hidden states, see which layers decided."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from laya_jax._capture import capture, layer_names
    from laya_jax.base_head import Head
    from laya_jax.classifier import Classifier
    from laya_jax.cost import describe
    from laya_jax.functional import HeadOutput
    from laya_jax.heads import ConcatHead, LastLayerHead, LayaHead, ScalarMixHead
    from laya_jax.pooling import pool

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "ConcatHead",
    "Head",
    "HeadOutput",
    "LastLayerHead",
    "LayaHead",
    "ScalarMixHead",
    "capture",
    "describe",
    "layer_names",
    "pool",
]

_MODULES = {
    "_capture": ("capture", "layer_names"),
    "base_head": ("Head",),
    "classifier": ("Classifier",),
    "cost": ("describe",),
    "functional": ("HeadOutput",),
    "heads": ("ConcatHead", "LastLayerHead", "LayaHead", "ScalarMixHead"),
    "pooling": ("pool",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    # JAX is imported with the first name: ``laya --version`` needs none, and ``laya`` tells what it refuses.
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"laya_jax.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
