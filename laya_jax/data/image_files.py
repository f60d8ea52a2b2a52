"""Images in files as an array that decodes them when it is asked."""

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.folders import readable
from laya_jax.data.pictures import DEEP_GREY, LARGE, TRANSPARENT, UPRIGHT, Picture, read_pixels

LARGEST_DECODED = 2**31
"""Bytes of pixels up to which images are decoded at once."""


class ImageFiles:
    """Images in files, decoded when they are asked for: a read-only array [N, H, W, C] of uint8.

    Attributes:
      pictures: Descriptions of the images.
      shape: Shape of the array.
      resize: True if the images are resized to the height of the array.
      background: Colour behind transparent pixels.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, pictures: Sequence[Picture], shape: Sequence[int], *, resize: bool, background: str = "white"
    ) -> None:
        self.pictures = pictures
        self.shape = (len(pictures), *shape)
        self.resize = resize
        self.background = background

    @property
    def nbytes(self) -> int:
        """Number of bytes of all pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.pictures)

    def __getitem__(self, rows: NDArray | slice) -> "ImageFiles":
        """Some of the images, still in files."""
        some = self.pictures[rows] if isinstance(rows, slice) else [self.pictures[row] for row in rows]
        return ImageFiles(some, self.shape[1:], resize=self.resize, background=self.background)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        """All pixels, for NumPy."""
        del copy  # decoding makes a new array
        pixels = self.decode()
        return pixels if dtype is None else pixels.astype(dtype)

    def checksum(self) -> int:
        """A number that changes with the name or the content of any file, and with how it is read."""
        known = [(readable(each.path.name), each.checksum, *self._changes(each)) for each in self.pictures]
        return zlib.crc32(repr((known, self.shape, self.resize)).encode())

    def decode(self) -> NDArray[np.uint8]:
        """All pixels.

        Raises:
          ValueError: An image cannot be read, or is not of the size that it had.
        """
        pixels = np.empty(self.shape, np.uint8)
        size = self.shape[1] if self.resize else None

        def fill(row: int) -> None:
            image = read_pixels(self.pictures[row], size, self.shape[3], self.background)
            if image.shape != self.shape[1:]:
                raise ValueError(f"{self.pictures[row].path} has changed since its size was read")
            pixels[row] = image

        with ThreadPoolExecutor() as threads:
            list(threads.map(fill, range(len(self))))
        return pixels

    def _changes(self, picture: Picture) -> list[str]:
        """Ways in which an image is read otherwise than versions before did, which knew none of them."""
        found = [trait for trait in (UPRIGHT, DEEP_GREY, LARGE) if trait in picture.traits]
        return [*found, *([f"on {self.background}"] if TRANSPARENT in picture.traits else ())]


def decoded(inputs: Any) -> Any:
    """Inputs as they are, except for images in files that are few enough to decode all at once."""
    is_small = isinstance(inputs, ImageFiles) and inputs.nbytes <= LARGEST_DECODED
    return inputs.decode() if is_small else inputs
