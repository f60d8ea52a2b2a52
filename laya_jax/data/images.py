"""A folder of images with a sub-folder for each class, or with train/, validation/ and test/ of such."""

import dataclasses
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig, path_of
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, Unlabelled, make_dataset
from laya_jax.data.splits import Splits

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
"""Folders of splits, and which; all but train need not be there."""

UNREADABLE = ("I", "I;16", "I;16B", "I;16L", "F")
"""Kinds of pixels that are more than 8 bits deep: Pillow would cut them off."""

LARGEST_DECODED = 2**31
"""Bytes of pixels up to which images are decoded at once."""


class ImageFiles:
    """Images in files, decoded when they are asked for: a read-only array [N, H, W, C] of uint8.

    Attributes:
      paths: of the images.
      shape: of all of them together.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], shape: tuple[int, int, int], *, resize: bool) -> None:
        self.paths = paths
        self.shape = (len(paths), *shape)
        self.resize = resize

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.paths)

    def __getitem__(self, rows: NDArray | slice) -> "ImageFiles":
        """Some of the images, still in files."""
        paths = self.paths[rows] if isinstance(rows, slice) else [self.paths[row] for row in rows]
        return ImageFiles(paths, self.shape[1:], resize=self.resize)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        """All pixels, for NumPy."""
        del copy  # decoding makes a new array
        pixels = self.decode()
        return pixels if dtype is None else pixels.astype(dtype)

    def checksum(self) -> int:
        """What changes with the name or the content of any file."""
        with ThreadPoolExecutor() as threads:
            contents = threads.map(lambda path: zlib.crc32(path.read_bytes()), self.paths)
            known = [(path.name, content) for path, content in zip(self.paths, contents, strict=True)]
        return zlib.crc32(repr((known, self.shape, self.resize)).encode())

    def decode(self) -> NDArray[np.uint8]:
        """All pixels.

        Raises:
          ValueError: an image that cannot be read, or of another size than the first one.
        """
        pixels = np.empty(self.shape, np.uint8)

        def fill(row: int) -> None:
            image = read_image(self.paths[row], self.shape[1] if self.resize else None, self.shape[3])
            if image.shape != self.shape[1:]:
                sizes = [f"{width} x {height}" for height, width, _ in (image.shape, self.shape[1:])]
                raise ValueError(
                    f"{self.paths[row]} is of {sizes[0]} pixels, but others are of {sizes[1]}; "
                    "--data.image-size resizes all"
                )
            pixels[row] = image

        with ThreadPoolExecutor() as threads:
            list(threads.map(fill, range(len(self.paths))))
        return pixels


def load_images(config: DataConfig) -> Dataset:
    """Reads a folder of images.

    Raises:
      FileNotFoundError: there is no such folder, or there are no images in it.
      ValueError: an image that cannot be read, images of mixed sizes, one class only, or a folder that
        would be left out.
    """
    folder = path_of(config.source)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    parts = _parts(folder)
    class_names = _folders(parts["train"])
    labelled = {split: _labelled_paths(part, class_names) for split, part in parts.items()}
    if not labelled["train"]:
        raise FileNotFoundError(
            f"{folder} has no images in sub-folders, expected a sub-folder for each class with "
            f"{', '.join(SUFFIXES)} files"
        )
    shape = image_shape([path for path, _ in labelled["train"]], config.image_size)

    def examples(rows: Sequence[tuple[Path, int]]) -> Examples:
        files = ImageFiles([path for path, _ in rows], shape, resize=config.image_size is not None)
        return Examples(files, np.array([label for _, label in rows], np.int32))

    splits = {split: examples(rows) for split, rows in labelled.items() if rows}
    preprocessing = Preprocessing("images", shape, scale=(255.0,))
    validation = splits.get("validation")
    dataset = make_dataset(
        splits["train"], splits.get("test"), class_names, preprocessing, config, validation
    )
    files = (dataset.train.inputs, dataset.validation.inputs, dataset.test.inputs)
    return dataclasses.replace(dataset, ids=Splits(*(_names(each, folder) for each in files)))


def read_unlabelled_images(
    folder: Path, shape: tuple[int, ...], class_names: Sequence[str], config: DataConfig
) -> Unlabelled:
    """Images to predict: all of a folder, with labels where all are in sub-folders of the classes' names."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    paths = [path for path in sorted(folder.rglob("*")) if _is_image(path)]
    if not paths:
        raise FileNotFoundError(f"{folder} has no images ({', '.join(SUFFIXES)})")
    names = [path.parent.name for path in paths]
    labels = None
    if set(names) <= set(class_names):
        labels = np.array([class_names.index(name) for name in names], np.int32)
    files = ImageFiles(paths, (shape[0], shape[1], shape[2]), resize=config.image_size is not None)
    return Unlabelled(files, tuple(_names(files, folder).tolist()), labels)


def decoded(inputs: Any) -> Any:
    """Inputs as they are, but for images in files that are few enough to decode all at once."""
    is_small = isinstance(inputs, ImageFiles) and inputs.nbytes <= LARGEST_DECODED
    return inputs.decode() if is_small else inputs


def image_shape(paths: Sequence[Path], size: int | None) -> tuple[int, int, int]:
    """Height, width and channels of a folder's images: grey if all of them are grey."""
    with ThreadPoolExecutor() as threads:
        modes = set(threads.map(_mode, paths))
    channels = 1 if modes <= {"1", "L"} else 3
    height, width, _ = read_image(paths[0], size, channels).shape
    return height, width, channels


def read_image(path: Path, size: int | None, channels: int) -> NDArray[np.uint8]:
    """Pixels [H, W, C] of an image, resized so that its middle square of this size is all that is kept.

    Raises:
      ValueError: it cannot be read.
    """
    # Data of other kinds need no Pillow.
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            deep = file.mode if file.mode in UNREADABLE else None
            image = file.convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if deep is not None:
        raise ValueError(f"{path} has pixels of mode {deep}, expected 8 bits a channel")
    if size is not None:
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(image.height, image.width, channels)


def _names(files: ImageFiles, folder: Path) -> NDArray:
    return np.array([str(path.relative_to(folder)) for path in files.paths])


def _parts(folder: Path) -> dict[str, Path]:
    """Folders of the splits; of a folder without them, itself, to train on."""
    names = _folders(folder)
    if "train" not in names:
        return {"train": folder}
    others = [name for name in names if name not in SPLITS]
    if others or {"validation", "val"} <= set(names):
        raise ValueError(
            f"{folder} has the folders {', '.join(names)}, expected train, validation (or val) and test"
        )
    return {SPLITS[name]: folder / name for name in names}


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _labelled_paths(folder: Path, class_names: Sequence[str]) -> list[tuple[Path, int]]:
    unknown = [name for name in _folders(folder) if name not in class_names]
    if unknown:
        raise ValueError(f"{folder} has the classes {', '.join(unknown)}, which train/ has not")
    return [
        (path, label)
        for label, name in enumerate(class_names)
        for path in sorted((folder / name).rglob("*"))
        if _is_image(path)
    ]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _mode(path: Path) -> str:
    from PIL import Image

    try:
        with Image.open(path) as file:
            return file.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
