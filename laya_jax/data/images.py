"""Image folders as data sets, with one sub-folder per class, optionally inside train/, validation/, test/."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.class_names import clean, listed
from laya_jax.data.config import DataConfig, path_of
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, Unlabelled, make_dataset
from laya_jax.data.folders import beside_classes, classes_in, names_of, readable, splits_in
from laya_jax.data.image_files import ImageFiles
from laya_jax.data.image_notes import (
    on_beside,
    on_classes,
    on_colours,
    on_copies,
    on_labels,
    on_skipped,
    on_traits,
)
from laya_jax.data.pictures import Picture, describe
from laya_jax.data.splits import Splits

BESIDE = ""
"""Placeholder class name for images outside the class folders."""


class _Found(NamedTuple):
    """Identified files of a split.

    Attributes:
      classes: Images by class, possibly none.
      skipped: Files that are not images.
    """

    classes: dict[str, list[Picture]]
    skipped: list[Path]

    @classmethod
    def of(cls, files: Mapping[str, Sequence[Path]]) -> "_Found":
        """Identifies files by their content.

        Raises:
          ValueError: An image cannot be read.
        """
        classes: dict[str, list[Picture]] = {name: [] for name in files}
        skipped = []
        rows = [(name, path) for name, paths in files.items() for path in paths]
        with ThreadPoolExecutor() as threads:
            described = threads.map(describe, (path for _, path in rows))
            for (name, path), picture in zip(rows, described, strict=True):
                if picture is None:
                    skipped.append(path)
                else:
                    classes[name].append(picture)
        return cls(classes, skipped)

    @property
    def pictures(self) -> list[Picture]:
        """Lists all images, class by class."""
        return [picture for pictures in self.classes.values() for picture in pictures]

    def unknown(self, class_names: Sequence[str]) -> dict[str, int]:
        """Counts the images in each class not among these names."""
        known = self._known(class_names)
        return {name: len(images) for name, images in self.classes.items() if images and name not in known}

    def labels(self, class_names: Sequence[str]) -> NDArray[np.int32]:
        """Returns the labels of all images, whose classes must be among these names."""
        known = self._known(class_names)
        return np.array([known[name] for name, images in self.classes.items() for _ in images], np.int32)

    def _known(self, class_names: Sequence[str]) -> dict[str, int]:
        """Returns the labels of folders named like a class, or so but for blanks and the Unicode form.

        Operating systems write accents in different forms, and look-alikes among the folders stay unknown.
        """
        exact = {name: label for label, name in enumerate(class_names)}
        alike = Counter(map(clean, class_names)) | Counter(map(clean, self.classes))
        cleaned = {clean(name): label for name, label in exact.items()}
        known = {name: exact[name] for name in self.classes if name in exact}
        return known | {
            name: cleaned[clean(name)]
            for name in self.classes
            if name not in exact and clean(name) in cleaned and alike[clean(name)] == 1
        }


def load_images(config: DataConfig) -> Dataset:
    """Reads a folder of images with their classes.

    Raises:
      FileNotFoundError: There is no such folder, or it contains no images.
      ValueError: An image cannot be read, images have mixed sizes, there is only one class, or it is
        ambiguous whether folders are splits or classes.
    """
    folder = path_of(config.source)
    splits = splits_in(folder)
    if splits and "train" not in splits:
        raise ValueError(f"{folder} has the folders {_names(splits)}, expected a folder train among them")
    parts = splits or {"train": folder}
    found = {split: _Found.of(classes_in(part)) for split, part in parts.items()}
    strays = [path for part in dict.fromkeys((folder, *parts.values())) for path in beside_classes(part)]
    skipped = [path for each in found.values() for path in each.skipped]
    notes = [*on_skipped(skipped, folder), *on_beside(strays, folder), *on_classes(found["train"].classes)]
    class_names = [name for name, pictures in found["train"].classes.items() if pictures]
    if not class_names:
        raise FileNotFoundError(
            f"{parts['train']} has no images in sub-folders, expected a sub-folder for each class"
            + "".join(f"; {note}" for note in notes)
        )
    for split, each in found.items():
        _check_known(parts[split], each.unknown(class_names), "missing from train")
    everything = [picture for each in found.values() for picture in each.pictures]
    shape = _shape_of(found["train"].pictures, config.image_size)
    if config.image_size is None:
        _check_sizes(everything, shape, "others have", "--data.image-size resizes all of them")
    notes += on_colours(everything, shape[2], folder)
    notes += on_traits(everything, folder, config.background)
    examples = {
        split: Examples(_files(each.pictures, shape, config), each.labels(class_names))
        for split, each in found.items()
        if each.pictures
    }
    dataset = make_dataset(
        examples["train"],
        examples.get("test"),
        class_names,
        Preprocessing("images", shape, scale=(255.0,)),
        config,
        examples.get("validation"),
    )
    held = {split: getattr(dataset, split) for split in Splits._fields}
    notes += on_copies({split: (each.inputs.pictures, each.labels) for split, each in held.items()}, folder)
    paths = [picture.path for picture in everything]
    names = dict(zip(paths, names_of(paths, folder), strict=True))
    ids = (np.array([names[picture.path] for picture in each.inputs.pictures]) for each in held.values())
    return dataclasses.replace(dataset, ids=Splits(*ids), notes=(*dataset.notes, *notes))


def read_unlabelled_images(
    folder: Path,
    shape: Sequence[int],
    class_names: Sequence[str],
    config: DataConfig,
    *,
    labelled: bool = False,
) -> Unlabelled:
    """Reads images to predict or evaluate, from the test split if the folder has splits.

    Args:
      folder: Path of the folder.
      shape: Shape [H, W, C] of the model's inputs.
      class_names: Names of the model's classes, by label.
      config: Configuration of the model's training data.
      labelled: True if labels are required: images outside the class folders are then skipped, and unknown
        classes are rejected. Otherwise all images are read, with labels if all of them have one.

    Raises:
      FileNotFoundError: There is no such folder, or it contains no images.
      ValueError: An image cannot be read or has a different size, or there is an unknown class.
    """
    splits = splits_in(folder)
    if splits and "test" not in splits:
        raise ValueError(
            f"{folder} has the folders {_names(splits)}, expected a folder test among them, or the path of "
            f"one of them, such as images:{next(iter(splits.values()))}"
        )
    if shape[2] not in (1, 3):
        raise ValueError(f"the model reads {shape[2]} channels, expected 1 or 3 to read images from files")
    part = splits.get("test", folder)
    classes, strays = classes_in(part), beside_classes(part)
    found = _Found.of(classes if labelled else {**classes, BESIDE: strays})
    notes = [*on_skipped(found.skipped, folder), *(on_beside(strays, folder) if labelled else ())]
    pictures, unknown = found.pictures, found.unknown(class_names)
    if labelled:
        _check_known(part, unknown, f"unknown to the model, whose classes are {listed(class_names)}")
    if not pictures:
        where = " in class folders, from which labels are read" if labelled else ""
        raise FileNotFoundError(f"{part} has no images{where}" + "".join(f"; {note}" for note in notes))
    if config.image_size is None:
        _check_sizes(pictures, shape, "the model reads", "resize it first")
    notes += on_colours(pictures, shape[2], folder)
    notes += on_traits(pictures, folder, config.background)
    notes += on_labels(unknown, known=len(pictures) - sum(unknown.values()))
    labels = None if unknown else found.labels(class_names)
    ids = tuple(names_of([picture.path for picture in pictures], folder))
    return Unlabelled(
        _files(pictures, shape, config), ids, labels, "test split" if splits else None, tuple(notes)
    )


def _files(pictures: Sequence[Picture], shape: Sequence[int], config: DataConfig) -> ImageFiles:
    return ImageFiles(pictures, shape, resize=config.image_size is not None, background=config.background)


def _shape_of(pictures: Sequence[Picture], size: int | None) -> tuple[int, int, int]:
    """Returns height, width and channels of images, with one channel if all of them are grey."""
    width, height = pictures[0].size if size is None else (size, size)
    return height, width, 1 if all(picture.is_grey for picture in pictures) else 3


def _check_known(folder: Path, unknown: Mapping[str, int], lacking: str) -> None:
    if unknown:
        counted = [
            f"{name} ({number:,} image{'s' if number > 1 else ''})" for name, number in unknown.items()
        ]
        raise ValueError(f"{folder} has the class{'es' if counted[1:] else ''} {listed(counted)}, {lacking}")


def _check_sizes(pictures: Sequence[Picture], shape: Sequence[int], others: str, advice: str) -> None:
    """Checks that all images have the height and width of this shape."""
    height, width = shape[:2]
    for picture in pictures:
        if picture.size != (width, height):
            raise ValueError(
                f"{picture.path} has {picture.size[0]} x {picture.size[1]} pixels, but {others} {width} x "
                f"{height}; {advice}"
            )


def _names(splits: Mapping[str, Path]) -> str:
    return ", ".join(readable(path.name) for path in splits.values())
