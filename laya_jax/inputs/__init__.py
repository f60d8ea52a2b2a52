"""Inputs of a run: data prepared for the backbone, or cached hidden states of a frozen backbone."""

from laya_jax.inputs.cached_states import make_extractor
from laya_jax.inputs.gathering import (
    FROZEN,
    Material,
    fingerprint,
    gather,
    head_alone,
    known_by,
    of_hidden_states,
    readable,
)
from laya_jax.inputs.pretrained import (
    BackboneRecord,
    backbone_of,
    check_read_alike,
    load_for,
    pretrained_of,
    sizes_of,
)

__all__ = [
    "FROZEN",
    "BackboneRecord",
    "Material",
    "backbone_of",
    "check_read_alike",
    "fingerprint",
    "gather",
    "head_alone",
    "known_by",
    "load_for",
    "make_extractor",
    "of_hidden_states",
    "pretrained_of",
    "readable",
    "sizes_of",
]
