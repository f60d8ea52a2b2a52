"""Notes on files that were skipped, changed or found suspicious in image folders."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from laya_jax.data.folders import counted_suffixes, listed, lookalikes, names_of
from laya_jax.data.image_kinds import HEIF, reads_heif
from laya_jax.data.pictures import DEEP_COLOUR, DEEP_GREY, FRAMES, LARGE, TRANSPARENT, UPRIGHT, Picture

HOW_READ: Mapping[str, str] = {
    UPRIGHT: "turned upright, as EXIF tells",
    TRANSPARENT: "laid on {background} because of transparent pixels (data.background)",
    DEEP_GREY: "read with the upper 8 of 16 bits of grey",
    DEEP_COLOUR: "read with the upper 8 of 16 bits a channel",
    FRAMES: "read without the frames or pages after the first",
    LARGE: "so large that, to be resized, only a fraction of the pixels is decoded",
}
"""Ends of notes on images that are not read as stored, by trait."""


def on_skipped(paths: Sequence[Path], folder: Path) -> list[str]:
    """Returns a note on files that are not images, if there are any."""
    if not paths:
        return []
    to_read = "; to read .heic: pip install 'laya-jax[heic]'" if _needs_heif(paths) else ""
    return [f"skipped {_files(paths)} that Pillow does not read as images: {_named(paths, folder)}{to_read}"]


def on_beside(paths: Sequence[Path], folder: Path) -> list[str]:
    """Returns a note on files outside the class folders, if there are any."""
    return [f"skipped {_files(paths)} in no class folder: {_named(paths, folder)}"] if paths else []


def on_classes(found: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Yields notes on class folders without images, and on those with similar names.

    >>> list(on_classes({"cat": [1], "Cat": [2], "dog": []}))
    ['folders without images are no classes: dog', 'cat and Cat are different classes, but look alike']
    """
    empty = [name for name, images in found.items() if not images]
    if empty:
        yield f"folders without images are no classes: {listed(empty)}"
    for group in lookalikes(name for name, images in found.items() if images):
        yield f"{' and '.join(group)} are different classes, but look alike"


def on_labels(unknown: Mapping[str, int], known: int) -> Iterator[str]:
    """Yields a note on why images have no labels, unless none of them is in a class folder.

    Args:
      unknown: Number of images in each folder that is not one of the model's classes; "" for no folder.
      known: Number of the other images.

    >>> list(on_labels({"fox": 12, "": 1}, known=20))
    ['labels are left out: fox (12) is no class of the model, 1 image is in no class folder']
    """
    folders = [f"{name} ({number:,})" for name, number in unknown.items() if name]
    beside = unknown.get("", 0)
    reasons = [f"{listed(folders)} {'are' if folders[1:] else 'is'} no class of the model"] if folders else []
    if beside and (folders or known):
        reasons.append(f"{_images(beside)} in no class folder")
    if reasons:
        yield f"labels are left out: {', '.join(reasons)}"


def on_colours(pictures: Iterable[Picture], channels: int, folder: Path) -> list[str]:
    """Returns a note on colour images for a greyscale model, if there are any."""
    coloured = [picture.path for picture in pictures if not picture.is_grey] if channels == 1 else []
    return (
        [f"{_images(len(coloured))} read as grey alone: {listed(names_of(coloured, folder))}"]
        if coloured
        else []
    )


def on_traits(pictures: Iterable[Picture], folder: Path, background: str) -> Iterator[str]:
    """Yields a note for each trait of images that are not read as stored."""
    of_trait: dict[str, list[Path]] = {}
    for picture in pictures:
        for trait in picture.traits:
            of_trait.setdefault(trait, []).append(picture.path)
    for trait, how in HOW_READ.items():
        if paths := of_trait.get(trait):
            names = listed(names_of(paths, folder))
            yield f"{_images(len(paths))} {how.format(background=background)}: {names}"


def on_copies(splits: Mapping[str, tuple[Sequence[Picture], Sequence[int]]], folder: Path) -> Iterator[str]:
    """Yields notes on files with the same content in several classes or splits.

    Args:
      splits: Pictures and labels of each split.
      folder: Path of the folder that contains all files.
    """
    places: dict[bytes, list[tuple[str, int, Path]]] = {}
    for split, (pictures, labels) in splits.items():
        for picture, label in zip(pictures, labels, strict=True):
            places.setdefault(picture.digest, []).append((split, label, picture.path))
    copies = [found for found in places.values() if len(found) > 1]
    for what, column in (("class", 1), ("split", 0)):
        apart = [found for found in copies if len({place[column] for place in found}) > 1]
        if apart:
            first = apart[0][0]
            other = next(place for place in apart[0] if place[column] != first[column])
            names = names_of([first[2], other[2]], folder)
            pair = f"{names[0]} ({first[0]}) is {names[1]} ({other[0]})"
            yield f"{_images(len(apart))} in more than one {what}, byte for byte: {pair}"


def _files(paths: Sequence[Path]) -> str:
    return f"{len(paths):,} file{'s' if len(paths) > 1 else ''}"


def _images(number: int) -> str:
    return "1 image is" if number == 1 else f"{number:,} images are"


def _named(paths: Sequence[Path], folder: Path) -> str:
    suffixes = f" ({counted_suffixes(paths)})" if len(paths) > 1 else ""
    return listed(names_of(paths, folder)) + suffixes


def _needs_heif(paths: Iterable[Path]) -> bool:
    return any(path.suffix.lower() in HEIF for path in paths) and not reads_heif()
