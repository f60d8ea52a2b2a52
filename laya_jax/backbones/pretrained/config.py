"""Validation of a pretrained model's ``config.json``, key by key."""

from pathlib import Path
from typing import Any

from laya_jax.backbones.pretrained.folder import CONFIG, read_object, shown
from laya_jax.backbones.pretrained.keys import FAMILIES
from laya_jax.typing import JsonObject

LARGEST = {"num_hidden_layers": 1_000}
"""Upper bounds against crafted files, by key; ``LARGEST_COUNT`` for every other size."""

LARGEST_COUNT = 10_000_000


class ModelConfig:
    """Validated config, whose methods read single keys and raise ValueErrors that name key and file.

    Attributes:
      path: Path of the file.
      kind: The ``model_type``.
    """

    def __init__(self, path: Path, kind: str, values: JsonObject) -> None:
        self.path = path
        self.kind = kind
        self._values = values

    def count(self, key: str, least: int = 1) -> int:
        """Reads a required integer."""
        value, most = self._value(key), LARGEST.get(key, LARGEST_COUNT)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._error(key, f"a whole number from {least} to {most:,}")
        return value

    def number(self, key: str, default: float) -> float:
        """Reads a non-negative number."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_COUNT:
            raise self._error(key, f"a number from 0 to {LARGEST_COUNT:,}")
        return value

    def epsilon(self) -> float:
        """Reads the epsilon of the layer normalisations; defaults to the family's."""
        return self.number("layer_norm_eps", FAMILIES[self.kind].epsilon)

    def padding(self) -> int:
        """Reads the id of the padding token; defaults to 0."""
        return 0 if self._values.get("pad_token_id") is None else self.count("pad_token_id", least=0)

    def mlp_width(self) -> int:
        """Reads the hidden width of the MLP in each block."""
        if self.kind != "dinov2":
            return self.count("intermediate_size")
        width = self.count("hidden_size") * self.number("mlp_ratio", 4)
        if not 1 <= width <= LARGEST_COUNT:
            raise self._error("mlp_ratio", f"a ratio that gives a width from 1 to {LARGEST_COUNT:,}")
        return int(width)

    def heads(self) -> int:
        """Reads the number of attention heads, which has to divide the width."""
        heads, width = self.count("num_attention_heads"), self.count("hidden_size")
        if width % heads:
            raise self._error("num_attention_heads", f"a divisor of hidden_size, {width}")
        return heads

    def grid(self) -> tuple[int, int, int]:
        """Reads the side of a patch in pixels, and the numbers of patches along height and width."""
        (height, width), patch = self._extent("image_size"), self._extent("patch_size")
        if patch[0] != patch[1]:
            raise self._error("patch_size", "a square")
        if (
            height != width and self.kind == "dinov2"
        ):  # transformers assumes a square grid of position embeddings
            raise self._error("image_size", "a square for a DINOv2")
        if min(height, width) < patch[0]:
            raise self._error("image_size", f"at least patch_size, {patch[0]}")
        return patch[0], height // patch[0], width // patch[0]

    def _extent(self, key: str) -> tuple[int, int]:
        """Reads height and width, given as one number for both, a list or an object."""
        value = self._value(key)
        if isinstance(value, dict) and set(value) == {"height", "width"}:
            value = [value["height"], value["width"]]
        sides = value if isinstance(value, list) else [value, value]
        if len(sides) != 2 or not all(type(side) is int and 1 <= side <= LARGEST_COUNT for side in sides):
            raise self._error(key, f"a whole number up to {LARGEST_COUNT:,}, or two as [height, width]")
        return sides[0], sides[1]

    def _value(self, key: str, default: Any = None) -> Any:
        if key not in self._values and default is None:
            raise ValueError(f"{self.path} has no {key!r}")
        return self._values.get(key, default)

    def _error(self, key: str, expected: str) -> ValueError:
        return ValueError(f"{key} of {self.path} is {shown(self._values.get(key))}, expected {expected}")


def read_config(folder: Path) -> ModelConfig:
    """Reads and validates the config in a folder.

    Raises:
      FileNotFoundError: There is no config.
      ValueError: The config cannot be read, is of an unknown family, or has a key that makes the model differ
        from the backbone, or may do so.
    """
    path = folder / CONFIG
    values = read_object(path)
    kind = values.get("model_type")
    if "pretrained_cfg" in values:
        raise ValueError(
            f"{path} is from a timm model, {shown(values.get('architecture'))}, expected one written by "
            f"transformers, with model_type {' or '.join(FAMILIES)}"
        )
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ValueError(f"model_type of {path} is {shown(kind)}, expected one of {', '.join(FAMILIES)}")
    family = FAMILIES[kind]
    for key, value in values.items():
        if key in family.fixed:
            if value not in family.fixed[key]:
                raise ValueError(f"{key} of {path} is {shown(value)}, expected {family.fixed[key][0]!r}")
        elif key not in family.read | family.harmless:
            raise ValueError(
                f"{path} has the key {shown(key)}, which is unknown for a {kind} and may change what the "
                "model computes; if it does not, delete it from the file"
            )
    return ModelConfig(path, kind, values)
