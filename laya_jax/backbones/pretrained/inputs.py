"""What a pretrained model's inputs looked like when it was trained."""

import json
from pathlib import Path
from typing import NamedTuple

from laya_jax.backbones.pretrained.hub import local_path

PREPROCESSOR, TOKENIZER = "preprocessor_config.json", "tokenizer.json"


class Normalization(NamedTuple):
    """What is taken off images with values from 0 to 1, and what they are then divided by, per channel.

    Attributes:
      mean: red, green, blue.
      deviation: red, green, blue.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def read_normalization(path: str | Path) -> Normalization:
    """How a pretrained ViT's images are normalised.

    ``preprocessor_config.json`` says it; where there is none, a DINOv2 takes ImageNet's mean and deviation,
    and any other ViT, Google's included, 0.5 for both.

    Args:
      path: as for ``load_pretrained``.

    Raises:
      ValueError: the file cannot be read.

    >>> read_normalization("vit.npz").mean
    (0.5, 0.5, 0.5)
    """
    path = local_path(path)
    if path.suffix == ".npz":
        return HALF
    if (path / PREPROCESSOR).is_file():
        values = _read_json(path / PREPROCESSOR)
        try:
            mean, deviation = values["image_mean"], values["image_std"]
            return Normalization(tuple(map(float, mean)), tuple(map(float, deviation)))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path / PREPROCESSOR} says no image_mean and image_std: {error}") from error
    return IMAGENET if _read_json(path / "config.json").get("model_type") == "dinov2" else HALF


def read_tokenizer(path: str | Path) -> str:
    """The content of a pretrained BERT's ``tokenizer.json``.

    Args:
      path: as for ``load_pretrained``.

    Raises:
      FileNotFoundError: there is none.
    """
    file = local_path(path) / TOKENIZER
    if not file.is_file():
        raise FileNotFoundError(f"no tokenizer in {file.parent}: it has no {TOKENIZER}")
    return file.read_text("utf-8")


def _read_json(path: Path) -> dict:
    try:
        values: dict = json.loads(path.read_text("utf-8"))
        return values
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
