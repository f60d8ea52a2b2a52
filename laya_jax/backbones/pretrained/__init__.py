"""Pretrained weights as the backbones of this package: Hugging Face's layouts, and Google's of ViT.

Strict: every key of a config and every array of a file is used or known to be of no use, and every parameter
gets an array of its shape.
"""

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn

from laya_jax.backbones.pretrained.google import from_google
from laya_jax.backbones.pretrained.hub import local_path
from laya_jax.backbones.pretrained.hugging_face import from_hugging_face
from laya_jax.backbones.pretrained.preprocessor import Normalization, image_notes, read_normalization
from laya_jax.backbones.pretrained.tokenizer import check_embedded, read_tokenizer, text_notes
from laya_jax.typing import Parameters

__all__ = [
    "Normalization",
    "Pretrained",
    "check_embedded",
    "image_notes",
    "load_pretrained",
    "read_normalization",
    "read_tokenizer",
    "text_notes",
]


class Pretrained(NamedTuple):
    """A backbone with its weights: ``backbone.apply({"params": parameters}, inputs)``.

    Attributes:
      backbone: A ``ViT`` or ``BERT``.
      parameters: Its parameters, as NumPy arrays.
    """

    backbone: nn.Module
    parameters: Parameters


def load_pretrained(path: str | Path, **options: Any) -> Pretrained:
    """Loads a pretrained backbone.

    Args:
      path: Path of a folder as Hugging Face's transformers or sentence-transformers write it, with
        ``config.json`` and ``model.safetensors`` (or its shards and their index), of a ViT, a DINOv2 or a
        BERT, with or without a head; or of an ``.npz`` of a ViT by Google (ImageNet-21k, with or without
        pre-logits); or ``hub:OWNER/NAME``.
      **options: Options of the backbone, such as ``pooling`` and ``dtype``. Without a pooling, a model of
        sentence-transformers has its own; what follows the pooling there is not applied.

    Returns:
      The backbone and its parameters.

    Raises:
      FileNotFoundError: There is no model at the path.
      ValueError: It cannot be read; its config has a key that changes what the backbone computes, or may do
        so; or it does not hold the arrays that the backbone needs. The message names the key or the arrays.
    """
    local = local_path(path)
    if local.suffix == ".npz" and not local.is_dir():
        return Pretrained(*from_google(local, options))
    return Pretrained(*from_hugging_face(local, options, str(path)))
