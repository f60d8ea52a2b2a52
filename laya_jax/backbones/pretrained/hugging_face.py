"""Loading of backbones from folders in the format of transformers and sentence-transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laya_jax.backbones.pretrained.config import read_config
from laya_jax.backbones.pretrained.layouts import LAYOUTS
from laya_jax.backbones.pretrained.rules import make_parameters, match_names
from laya_jax.backbones.pretrained.sentence import default_pooling, transformer_folder
from laya_jax.backbones.pretrained.weights import find_arrays, read_arrays
from laya_jax.backbones.transformer import Transformer
from laya_jax.typing import Parameters


def from_hugging_face(path: Path, options: Mapping[str, Any], source: str) -> tuple[Transformer, Parameters]:
    """Loads the backbone in a folder, and its parameters.

    Args:
      path: Path of the folder.
      options: Options of the backbone; a pooling among them overrides the folder's own.
      source: Path or name of the model as requested, for messages.

    Raises:
      FileNotFoundError: There is no model in the folder.
      ValueError: The model cannot be read, or its backbone is not supported.
    """
    folder = transformer_folder(path)
    config = read_config(folder)
    backbone, rules, unused = LAYOUTS[config.kind](config)
    if "pooling" not in options and (pooling := default_pooling(path)) is not None:
        options = {"pooling": pooling, **options}
    backbone = backbone.clone(**options)
    places = find_arrays(folder, source)
    file = next(iter(places.values()))  # messages about shards name the first one
    names = match_names(places, rules, unused, file)
    return backbone, make_parameters(read_arrays(places, names), rules, backbone, file)
