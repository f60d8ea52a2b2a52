"""Pretrained weights as the backbones of this package: Hugging Face's layouts, and Google's of ViT.

Strict: every array of a file is used or known to be of no use, every parameter gets one of its shape.
"""

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn

from laya_jax.backbones.pretrained.google import from_google
from laya_jax.backbones.pretrained.hub import local_path
from laya_jax.backbones.pretrained.hugging_face import from_hugging_face
from laya_jax.backbones.pretrained.inputs import Normalization, read_normalization, read_tokenizer
from laya_jax.typing import Parameters

__all__ = ["Normalization", "Pretrained", "load_pretrained", "read_normalization", "read_tokenizer"]


class Pretrained(NamedTuple):
    """A backbone with its weights: ``backbone.apply({"params": parameters}, inputs)``.

    Attributes:
      backbone: a ``ViT`` or ``BERT``.
      parameters: of it, NumPy arrays.
    """

    backbone: nn.Module
    parameters: Parameters


def load_pretrained(path: str | Path, **options: Any) -> Pretrained:
    """Loads a pretrained backbone.

    Args:
      path: a folder with ``config.json`` and ``model.safetensors`` as Hugging Face writes them, of a ViT, a
        DINOv2 or a BERT; or an ``.npz`` of a ViT by Google (ImageNet-21k, with or without pre-logits).
      **options: of the backbone, such as ``pooling`` and ``dtype``.

    Returns:
      The backbone and its parameters.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it cannot be read, is of a model that is not known, or does not hold the arrays that the
        model needs; names that are missing and names that were not expected are both told.
    """
    path = local_path(path)
    read = from_google if path.suffix == ".npz" else from_hugging_face
    return Pretrained(*read(path, options))
