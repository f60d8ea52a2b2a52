"""Layer-attention output heads for JAX: predict from all hidden states, see which layers decided."""

from laya_jax.base_head import Head
from laya_jax.capture import capture, layer_names
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
