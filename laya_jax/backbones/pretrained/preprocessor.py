"""Image preprocessing of pretrained ViTs: normalisation, resizing and cropping."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from laya_jax.backbones.pretrained.config import LARGEST_COUNT, read_config
from laya_jax.backbones.pretrained.folder import read_object, shown
from laya_jax.backbones.pretrained.hub import local_path
from laya_jax.backbones.pretrained.sentence import transformer_folder
from laya_jax.typing import JsonObject

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"

TYPES = r"(ViT|Bit|DeiT|CLIP)(ImageProcessor|FeatureExtractor)(Fast|Pil)?"
"""Pattern of the classes that only resize, crop, rescale and normalise."""

READ = (
    *("image_processor_type", "feature_extractor_type"),
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"),
    *("do_resize", "size", "resample", "do_center_crop", "crop_size"),
)

HARMLESS = (
    *("do_convert_rgb", "default_to_square", "processor_class", "model_input_names", "_valid_processor_keys"),
    *("data_format", "input_data_format", "return_tensors", "device", "disable_grouping"),
)
"""Keys without effect on images, which always have three channels here."""

RESAMPLING = {0: "nearest", 1: "Lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "Hamming"}
"""Pillow's resampling filters by number; 3 is used here."""


AS_THEY_ARE = "they are taken as they are"


class Normalization(NamedTuple):
    """Per-channel mean and standard deviation that normalise images with values from 0 to 1.

    Attributes:
      mean: Means of red, green and blue.
      deviation: Standard deviations of red, green and blue.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Preprocessor:
    """Validated ``preprocessor_config.json``, whose methods raise ValueErrors that name key and file.

    Attributes:
      path: Path of the file.
    """

    def __init__(self, path: Path, values: JsonObject) -> None:
        self.path = path
        self._values = values
        key = "image_processor_type" if "image_processor_type" in values else "feature_extractor_type"
        self._kind = values.get(key, "ViTImageProcessor")
        if not re.fullmatch(TYPES, str(self._kind)):
            raise self._error(key, "the type of a ViT, Bit, DeiT or CLIP")
        for key, value in values.items():
            if key not in READ + HARMLESS and value not in (None, False):
                raise ValueError(
                    f"{path} has the key {shown(key)}, which is unknown and may change the images; if it "
                    "does not, delete it from the file"
                )

    def normalization(self) -> Normalization:
        """Returns mean and standard deviation for images from 0 to 1, whatever range the file rescales to."""
        highest = 255 * self._number("rescale_factor", 1 / 255) if self._flag("do_rescale", True) else 255.0
        if not self._flag("do_normalize", True):
            return Normalization((0.0,) * 3, (1 / highest,) * 3)
        mean, deviation = self._channels("image_mean"), self._channels("image_std")
        if min(deviation) <= 0:
            raise self._error("image_std", "three numbers above 0")
        return Normalization(tuple(x / highest for x in mean), tuple(x / highest for x in deviation))

    def fitting(self) -> str | None:
        """Describes how images are resized and cropped; None if the file does not specify it."""
        steps = []
        if self._flag("do_resize", True):
            if self._values.get("size") is None:
                return None
            filter_number = self._values.get("resample", 3)
            if not isinstance(filter_number, int) or filter_number not in RESAMPLING:
                raise self._error("resample", f"one of {', '.join(map(str, RESAMPLING))}")
            steps.append(f"{self._resizing()} ({RESAMPLING[filter_number]})")
        if self._flag("do_center_crop", self._values.get("crop_size") is not None):
            steps.append("the central {} x {} pixels are cropped".format(*self._sides("crop_size")))
        return ", ".join(steps) or AS_THEY_ARE

    def _resizing(self) -> str:
        size = self._values["size"]
        if isinstance(size, int) and self._kind.startswith(("Bit", "CLIP")):  # format of the first versions
            size = {"shortest_edge": size}
        if isinstance(size, dict) and set(size) == {"shortest_edge"}:
            if not _is_side(size["shortest_edge"]):
                raise self._error("size", "a number of pixels")
            return f"the shorter side is resized to {size['shortest_edge']} pixels"
        return "they are resized to {} x {} pixels".format(*self._sides("size"))

    def _sides(self, key: str) -> tuple[int, int]:
        value: Any = self._values.get(key)
        if isinstance(value, dict) and set(value) == {"height", "width"}:
            value = [value["height"], value["width"]]
        sides: list[int] = value if isinstance(value, list) else [value, value]
        if len(sides) != 2 or not all(map(_is_side, sides)):
            raise self._error(key, "a height and a width in pixels")
        return int(sides[0]), int(sides[1])

    def _flag(self, key: str, default: bool) -> bool:
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self._error(key, "true or false")
        return value

    def _number(self, key: str, default: float) -> float:
        value = self._values.get(key, default)
        if not _is_number(value) or value <= 0:
            raise self._error(key, "a number above 0")
        return float(value)

    def _channels(self, key: str) -> list[float]:
        value = self._values.get(key)
        if not isinstance(value, list) or len(value) != 3 or not all(map(_is_number, value)):
            raise self._error(key, "three numbers")
        return [float(x) for x in value]

    def _error(self, key: str, expected: str) -> ValueError:
        return ValueError(f"{key} of {self.path} is {shown(self._values.get(key))}, expected {expected}")


def read_normalization(path: str | Path) -> Normalization:
    """Reads the image normalisation of a pretrained ViT.

    Without ``preprocessor_config.json``, a DINOv2 uses ImageNet's mean and standard deviation, and any other
    ViT, including Google's, 0.5 for both.

    Args:
      path: Path or name of the model, as for ``load_pretrained``.

    Raises:
      FileNotFoundError: There is no model.
      ValueError: A file cannot be read, or requires unsupported preprocessing.

    >>> read_normalization("vit.npz").mean
    (0.5, 0.5, 0.5)
    """
    local = local_path(path)
    preprocessor = _read_preprocessor(local)
    if preprocessor is not None:
        return preprocessor.normalization()
    if local.suffix == ".npz":
        return HALF
    return IMAGENET if read_config(transformer_folder(local)).kind == "dinov2" else HALF


def image_notes(path: str | Path, size: int | None) -> tuple[str, ...]:
    """Returns notes on differences in resizing and cropping from the model's own training.

    Args:
      path: Path or name of the model, as for ``load_pretrained``.
      size: Height and width in pixels to which images are resized here, or None if they are not resized.

    Raises:
      ValueError: The model's preprocessor config cannot be read, or has an unknown setting.
    """
    preprocessor = _read_preprocessor(local_path(path))
    theirs = preprocessor and preprocessor.fitting()
    square = {"height": size, "width": size}
    values = {"size": {"shortest_edge": size}, "crop_size": square} if size else {"do_resize": False}
    ours = Preprocessor(Path(), values).fitting()
    if preprocessor is None or theirs in (None, ours):
        return ()
    return (f"images are prepared differently from {preprocessor.path}: there, {theirs}; here, {ours}",)


def _read_preprocessor(path: Path) -> Preprocessor | None:
    """Reads the first of a model's files that specifies image preprocessing, if any does."""
    file = path / PROCESSOR
    if file.exists():  # transformers 5 stores several processors in one file
        values = read_object(file)
        if "image_processor" in values:
            if not isinstance(values["image_processor"], dict):
                found = shown(values["image_processor"])
                raise ValueError(f"image_processor of {file} is {found}, expected an object")
            return Preprocessor(file, values["image_processor"])
    file = path / PREPROCESSOR
    return Preprocessor(file, read_object(file)) if file.exists() else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_COUNT
