"""The heads as NNX modules, and capture of the hidden states of any NNX model."""

from laya_jax.nnx.capturing import capture, layer_names
from laya_jax.nnx.heads import (
    ConcatHead,
    Head,
    LastLayerHead,
    LayaHead,
    ScalarMixHead,
    linen_parameters,
    load_linen_parameters,
)

__all__ = [
    "ConcatHead",
    "Head",
    "LastLayerHead",
    "LayaHead",
    "ScalarMixHead",
    "capture",
    "layer_names",
    "linen_parameters",
    "load_linen_parameters",
]
