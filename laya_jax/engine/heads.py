"""Table of all heads, with one row each."""

import dataclasses
from collections.abc import Mapping

from laya_jax.heads import ConcatHead, Head, LastLayerHead, LayaHead, ScalarMixHead
from laya_jax.kernels import KernelHead

HEADS: Mapping[str, type[Head]] = {
    "laya": LayaHead,
    "last_layer": LastLayerHead,
    "concat": ConcatHead,
    "scalar_mix": ScalarMixHead,
    "kernel": KernelHead,
}
"""All heads by the names that configs use."""


def make_head(kind: str, settings: object, **given: object) -> Head:
    """Builds a head from those settings whose names match its fields.

    Args:
      kind: Name of the head in ``HEADS``.
      settings: Object with settings as attributes; those that are not fields of the head are ignored.
      **given: Further fields of the head, such as ``num_classes``.

    Raises:
      ValueError: A setting is outside its range; the message names it.

    >>> from types import SimpleNamespace
    >>> make_head("laya", SimpleNamespace(dim=8, temperature=2.0), num_classes=3).temperature
    2.0
    """
    fields = {field.name for field in dataclasses.fields(HEADS[kind])} - {"parent", "name"}
    shared = {name: getattr(settings, name) for name in fields if hasattr(settings, name)}
    return HEADS[kind](**{**shared, **given})
