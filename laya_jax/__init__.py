"""Layer-attention output heads for JAX: predict from all hidden states, and see which layers were used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from laya_jax.classifier import Classifier
    from laya_jax.cost import describe
    from laya_jax.heads import ConcatHead, Head, HeadOutput, LastLayerHead, LayaHead, ScalarMixHead
    from laya_jax.hidden_states import capture, layer_names, pool
    from laya_jax.kernels import KernelLayaHead, fit_kernel_head

__version__ = "0.2.0"

__all__ = [
    "Classifier",
    "ConcatHead",
    "Head",
    "HeadOutput",
    "KernelLayaHead",
    "LastLayerHead",
    "LayaHead",
    "ScalarMixHead",
    "capture",
    "describe",
    "fit_kernel_head",
    "layer_names",
    "pool",
]

_NAMES = {
    "classifier": ("Classifier",),
    "cost": ("describe",),
    "heads": ("ConcatHead", "Head", "HeadOutput", "LastLayerHead", "LayaHead", "ScalarMixHead"),
    "hidden_states": ("capture", "layer_names", "pool"),
    "kernels": ("KernelLayaHead", "fit_kernel_head"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

_PACKAGES = (
    "attribution",
    "backbones",
    "data",
    "engine",
    "heads",
    "hidden_states",
    "inputs",
    "interop",
    "kernels",
    "loggers",
    "nnx",
    "report",
    "tpu",
    "training",
)


def __getattr__(name: str) -> Any:
    # Everything is imported with its first use: ``laya --version`` needs no JAX, and the heads no Optax.
    if name in _PACKAGES:
        return import_module(f"laya_jax.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"laya_jax.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
