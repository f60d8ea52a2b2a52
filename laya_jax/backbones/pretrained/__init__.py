"""Loading of pretrained backbones from Hugging Face's formats, and from Google's format of ViT.

Loading is strict: every key of a config and every array of a file is either used or known to be irrelevant,
and every parameter receives an array of its shape.
"""

from pathlib import Path
from typing import NamedTuple

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
      parameters: Parameters of the backbone, as NumPy arrays.
    """

    backbone: nn.Module
    parameters: Parameters


def load_pretrained(path: str | Path, **options: object) -> Pretrained:
    """Loads a pretrained backbone.

    Args:
      path: Path of a ViT, DINOv2 or BERT, with or without a head, in the folder format of transformers or
        sentence-transformers, with ``config.json`` and ``model.safetensors`` (or its shards and their index);
        or of Google's ``.npz`` of a ViT (ImageNet-21k, with or without pre-logits); or ``hub:OWNER/NAME``.
      **options: Options of the backbone, such as ``pooling`` and ``dtype``. The default pooling of a
        sentence-transformers model is its own; its modules after the pooling are not applied.

    Returns:
      The backbone and its parameters.

    Raises:
      FileNotFoundError: There is no model at the path.
      ValueError: The model cannot be read, its config has a key that changes or may change the computation,
        or arrays that the backbone needs are missing. The message names the key or the arrays.
    """
    local = local_path(path)
    if local.suffix == ".npz" and not local.is_dir():
        return Pretrained(*from_google(local, options))
    return Pretrained(*from_hugging_face(local, options, str(path)))
