"""Output heads: pure functions, and the Linen modules that hold their parameters."""

from laya_jax.heads.base import Head, LayerVotes
from laya_jax.heads.checks import check_hidden_states, check_layer_masks, check_parameters, check_temperature
from laya_jax.heads.functional import HeadOutput
from laya_jax.heads.layer_attention import EXACT, attend, gelu, layer_normalize, vote
from laya_jax.heads.linen import ConcatHead, LastLayerHead, LayaHead, ScalarMixHead
from laya_jax.heads.parameters import Shapes, affine_shapes, hidden_widths, initial_value, promote
from laya_jax.heads.reading import read_layers

__all__ = [
    "EXACT",
    "ConcatHead",
    "Head",
    "HeadOutput",
    "LastLayerHead",
    "LayaHead",
    "LayerVotes",
    "ScalarMixHead",
    "Shapes",
    "affine_shapes",
    "attend",
    "check_hidden_states",
    "check_layer_masks",
    "check_parameters",
    "check_temperature",
    "gelu",
    "hidden_widths",
    "initial_value",
    "layer_normalize",
    "promote",
    "read_layers",
    "vote",
]
