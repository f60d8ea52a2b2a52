"""Capture of hidden states from Linen models, selection of layers, and pooling."""

from laya_jax.hidden_states.capturing import capture, layer_names
from laya_jax.hidden_states.layer_calls import (
    Call,
    LayerOutput,
    Reduction,
    Stored,
    key_of,
    new_key,
    outputs_of,
    taken,
    traced,
)
from laya_jax.hidden_states.layer_choice import (
    all_reached,
    as_hidden_states,
    as_patterns,
    check_pooling,
    choose,
    may_reach,
    names_of,
)
from laya_jax.hidden_states.model_checks import check_nnx
from laya_jax.hidden_states.pooling import POOLINGS, pool
from laya_jax.hidden_states.returned import Output, check_output

__all__ = [
    "POOLINGS",
    "Call",
    "LayerOutput",
    "Output",
    "Reduction",
    "Stored",
    "all_reached",
    "as_hidden_states",
    "as_patterns",
    "capture",
    "check_nnx",
    "check_output",
    "check_pooling",
    "choose",
    "key_of",
    "layer_names",
    "may_reach",
    "names_of",
    "new_key",
    "outputs_of",
    "pool",
    "taken",
    "traced",
]
