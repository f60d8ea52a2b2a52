"""Notes on files that were skipped, changed or found suspicious in image folders."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from laya_jax.data.class_names import listed
from laya_jax.data.folders import counted_suffixes, lookalikes, names_of
from laya_jax.data.image_kinds import HEIF, reads_heif
from laya_jax.data.pictures import DEEP_COLOUR, DEEP_GREY, FRAMES, LARGE, TRANSPARENT, UPRIGHT, Picture

HOW_READ: Mapping[str, str] = {
    UPRIGHT: "turned upright according to EXIF",
    TRANSPARENT: "composited on {background} because of transparent pixels (data.background)",
    DEEP_GREY: "read with the upper 8 of 16 bits of grey",
    DEEP_COLOUR: "read with the upper 8 of 16 bits per channel",
    FRAMES: "read without the frames or pages after the first",
    LARGE: "so large that only a fraction of the pixels is decoded before resizing",
}
"""Ends of notes on images that are not read as stored, by trait."""


def on_skipped(paths: Sequence[Path], folder: Path) -> list[str]:
    """Returns a note on files that are not images, if there are any."""
    if not paths:
        return []
    to_read = "; to read .heic: pip install 'laya-jax[heic]'" if _needs_heif(paths) else ""
    skipped = f"{_files(paths)} that Pillow does not recognise as images"
    return [f"skipped {skipped}: {_counted(paths, folder)}{to_read}"]


def on_beside(paths: Sequence[Path], folder: Path) -> list[str]:
    """Returns a note on files outside the class folders, if there are any."""
    return [f"skipped {_files(paths)} outside the class folders: {_counted(paths, folder)}"] if paths else []


def on_classes(found: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """Yields notes on class folders without images, and on those with similar names.

    >>> list(on_classes({"a": [1], "A": [2], "b": []}))
    ['folders without images do not count as classes: b', 'a and A are different classes with similar names']
    """
    empty = [name for name, images in found.items() if not images]
    if empty:
        yield f"folders without images do not count as classes: {listed(empty)}"
    for group in lookalikes(name for name, images in found.items() if images):
        yield f"{' and '.join(group)} are different classes with similar names"


def on_labels(unknown: Mapping[str, int], known: int) -> Iterator[str]:
    """Yields a note on why images have no labels, unless none of them is in a class folder.

    Args:
      unknown: Number of images in each folder that is not one of the model's classes; "" for no folder.
      known: Number of the other images.

    >>> list(on_labels({"fox": 12, "": 1}, known=20))
    ['labels are not used: fox (12) is not one of the classes, 1 image is outside the class folders']
    """
    folders = [f"{name} ({number:,})" for name, number in unknown.items() if name]
    beside = unknown.get("", 0)
    not_known = "are not among the classes" if folders[1:] else "is not one of the classes"
    reasons = [f"{listed(folders)} {not_known}"] if folders else []
    if beside and (folders or known):
        reasons.append(f"{_images(beside)} outside the class folders")
    if reasons:
        yield f"labels are not used: {', '.join(reasons)}"


def on_colours(pictures: Iterable[Picture], channels: int, folder: Path) -> list[str]:
    """Returns a note on colour images for a greyscale model, if there are any."""
    coloured = [picture.path for picture in pictures if not picture.is_grey] if channels == 1 else []
    return [f"{_images(len(coloured))} converted to grey: {_named(coloured, folder)}"] if coloured else []


def on_traits(pictures: Iterable[Picture], folder: Path, background: str) -> Iterator[str]:
    """Yields a note for each trait of images that are not read as stored."""
    of_trait: dict[str, list[Path]] = {}
    for picture in pictures:
        for trait in picture.traits:
            of_trait.setdefault(trait, []).append(picture.path)
    for trait, how in HOW_READ.items():
        if paths := of_trait.get(trait):
            yield f"{_images(len(paths))} {how.format(background=background)}: {_named(paths, folder)}"


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
            pair = f"{names[0]} ({first[0]}) and {names[1]} ({other[0]})"
            yield f"{_images(len(apart))} in more than one {what}, with identical files such as {pair}"


def _files(paths: Sequence[Path]) -> str:
    return f"{len(paths):,} file{'s' if len(paths) > 1 else ''}"


def _images(number: int) -> str:
    return "1 image is" if number == 1 else f"{number:,} images are"


def _named(paths: Sequence[Path], folder: Path) -> str:
    return listed(names_of(paths, folder), shown=1)


def _counted(paths: Sequence[Path], folder: Path) -> str:
    suffixes = f" ({counted_suffixes(paths)})" if len(paths) > 1 else ""
    return _named(paths, folder) + suffixes


def _needs_heif(paths: Iterable[Path]) -> bool:
    return any(path.suffix.lower() in HEIF for path in paths) and not reads_heif()
