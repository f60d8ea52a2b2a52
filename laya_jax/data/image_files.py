"""Array-like view of image files, decoded on demand."""

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import DTypeLike, NDArray

from laya_jax.data.folders import readable
from laya_jax.data.pictures import DEEP_GREY, LARGE, TRANSPARENT, UPRIGHT, Picture, read_pixels
from laya_jax.data.rows import Rows

LARGEST_DECODED = 2**31
"""Maximum number of bytes of pixels for decoding all images in advance."""


class ImageFiles:
    """Images in files, decoded on demand: a read-only array [N, H, W, C] of uint8.

    Attributes:
      pictures: Descriptions of the images.
      shape: Shape of the array.
      resize: True to resize the images to the height of the array.
      background: Background colour for transparent pixels.
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
        """Returns the images at these rows, still in files."""
        some = self.pictures[rows] if isinstance(rows, slice) else [self.pictures[row] for row in rows]
        return ImageFiles(some, self.shape[1:], resize=self.resize, background=self.background)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        """Decodes all images, for NumPy."""
        del copy  # decoding makes a new array
        pixels = self.decode()
        return pixels if dtype is None else pixels.astype(dtype)

    def checksum(self) -> int:
        """Computes a checksum of the names and contents of all files, and of the way they are read."""
        known = [(readable(each.path.name), each.checksum, *self._changes(each)) for each in self.pictures]
        return zlib.crc32(repr((known, self.shape, self.resize)).encode())

    def decode(self) -> NDArray[np.uint8]:
        """Decodes all images.

        Raises:
          ValueError: An image cannot be read, or its size has changed.
        """
        pixels = np.empty(self.shape, np.uint8)
        size = self.shape[1] if self.resize else None

        def fill(row: int) -> None:
            image = read_pixels(self.pictures[row], size, self.shape[3], self.background)
            if image.shape != self.shape[1:]:
                raise ValueError(f"{self.pictures[row].path} has changed in size since it was first read")
            pixels[row] = image

        with ThreadPoolExecutor() as threads:
            list(threads.map(fill, range(len(self))))
        return pixels

    def _changes(self, picture: Picture) -> list[str]:
        """Lists the traits of an image that earlier versions ignored when reading it."""
        found = [trait for trait in (UPRIGHT, DEEP_GREY, LARGE) if trait in picture.traits]
        return [*found, *([f"on {self.background}"] if TRANSPARENT in picture.traits else ())]


def decoded(inputs: Rows) -> Rows:
    """Decodes images in files if they are small enough to hold in memory; returns other inputs unchanged."""
    if isinstance(inputs, ImageFiles) and inputs.nbytes <= LARGEST_DECODED:
        return inputs.decode()
    return inputs
