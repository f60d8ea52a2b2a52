"""Table of all backbones by the names that configs use, with one row each."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn

from laya_jax.backbones.bert import BERT
from laya_jax.backbones.bilstm import BiLSTM
from laya_jax.backbones.mlp import MLP
from laya_jax.backbones.separable_cnn import SeparableCNN
from laya_jax.backbones.vit import ViT

NOT_SETTINGS = {"parent", "name"}
"""Fields that Flax adds to every module."""


class BackboneKind(NamedTuple):
    """A kind of backbone.

    Attributes:
      module: Class of the module.
      reads: Kinds of input that it accepts: "images", "features" or "tokens".
      pretrained: True if its sizes and weights are read from files.
      fits_in_cache: Number of examples whose activations fit in a CPU's cache; computing that many at a time
        is faster.
    """

    module: type[nn.Module]
    reads: tuple[str, ...]
    pretrained: bool = False
    fits_in_cache: int | None = None

    def make(self, settings: object, **given: object) -> nn.Module:
        """Builds the module from those settings whose names match its fields.

        >>> from types import SimpleNamespace
        >>> BACKBONES["mlp"].make(SimpleNamespace(widths=(8, 4), path=None), vocabulary_size=100).widths
        (8, 4)
        """
        fields = {field.name for field in dataclasses.fields(self.module)} - NOT_SETTINGS
        shared = {name: getattr(settings, name) for name in fields if hasattr(settings, name)}
        return self.module(**shared, **{name: value for name, value in given.items() if name in fields})


BACKBONES: Mapping[str, BackboneKind] = {
    "mlp": BackboneKind(MLP, ("images", "features")),
    "separable_cnn": BackboneKind(SeparableCNN, ("images",), fits_in_cache=8),
    "bilstm": BackboneKind(BiLSTM, ("tokens",)),
    "vit": BackboneKind(ViT, ("images",), pretrained=True),
    "bert": BackboneKind(BERT, ("tokens",), pretrained=True),
}
