"""Inputs of a run: data prepared for the backbone, or cached hidden states of a frozen backbone."""

from laya_jax.inputs.cached_states import Unstack, make_extractor
from laya_jax.inputs.gathering import FrozenInputs, Inputs, fingerprint, gather, inputs_for, inputs_of
from laya_jax.inputs.pretrained import (
    BackboneRecord,
    backbone_of,
    check_read_alike,
    load_for,
    pretrained_of,
    sizes_of,
)

__all__ = [
    "BackboneRecord",
    "FrozenInputs",
    "Inputs",
    "Unstack",
    "backbone_of",
    "check_read_alike",
    "fingerprint",
    "gather",
    "inputs_for",
    "inputs_of",
    "load_for",
    "make_extractor",
    "pretrained_of",
    "sizes_of",
]
