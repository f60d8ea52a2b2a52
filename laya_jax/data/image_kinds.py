"""Identification of image files by content, and limits on their size."""

import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from laya_jax.data.budget import MEMORY

if TYPE_CHECKING:
    from PIL.Image import Image

HEIF = frozenset({".heic", ".heif", ".hif"})
"""Suffixes of images from phones, for which Pillow needs pillow-heif."""

SUFFIXES = HEIF | {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".gif", ".webp", ".avif", ".tif"),
    *(".tiff", ".bmp", ".dib", ".ico", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"),
}
"""Suffixes of files that must be images: an unreadable one is an error, while other files are skipped."""

RAW = frozenset(
    (".3fr", ".arw", ".cr2", ".cr3", ".dng", ".iiq", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw")
)
"""Suffixes of raw photographs, of which Pillow would read a small preview in place of the image."""

NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""Formats that Pillow recognises but cannot decode, or passes to another program (Ghostscript)."""

LARGEST_FILE = 2**30
"""Maximum file size in bytes."""

LARGEST_MEMORY = 900_000_000
"""Maximum memory in bytes for decoding one image: 112.5 million pixels in the least demanding formats."""

MEMORY_PER_PIXEL = {"AVIF": 14, "HEIF": 12, "JPEG2000": 24, "WEBP": 20}
"""Measured bytes per pixel for formats whose decoders hold several copies of an image."""

LEAST_PER_PIXEL = 8
"""Bytes per pixel in all other formats: four, and four more to rotate or flatten an image."""

NESTED = frozenset({"ICNS", "ICO"})
"""Container formats, whose header may not give the size of the embedded image."""

LARGE_BLOCK = 2**26
"""Block size in bytes for Pillow's allocation of large images."""

PILLOWS_LIMIT = 2**30 // 12
"""Pillow's default limit in pixels for warnings: a quarter of a gigabyte of RGB."""


NOT_THIS_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)
"""Exceptions that Pillow's formats raise for files of another format."""


class TooLargeError(ValueError):
    """Raised when an image file or its number of pixels is too large."""


@contextmanager
def opened(path: Path) -> Iterator["Image"]:
    """Opens an image by content and checks its size, without decoding its pixels.

    Pillow's own ``open`` warns about images that are accepted here, and only warns about some that are not.

    Args:
      path: Path of a regular file.

    Yields:
      The image, opened by the first of Pillow's formats that accepts the file; None if there is none.

    Raises:
      TooLargeError: The file or the image is too large.
      Exception: The file is damaged; Pillow's formats may raise anything.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise TooLargeError(f"{path} has {size:,} bytes, expected at most {LARGEST_FILE:,}")
    with path.open("rb") as file:
        prefix = file.read(16)
        takers = [name for name, (_, accepts) in pillow_formats().items() if _accepts(accepts, prefix)]
        # Opening may read the whole file, and decodes icons.
        with MEMORY.holding(size if NESTED.isdisjoint(takers) else LARGEST_MEMORY):
            image = _first(takers, file, str(path))
        if image is not None:
            _check_size(path, image)
        yield image


def memory_of(kind: str, pixels: int) -> int:
    """Computes the maximum memory for decoding an image of this format, in bytes.

    >>> memory_of("PNG", 1000)
    8000
    """
    return LARGEST_MEMORY if kind in NESTED else pixels * MEMORY_PER_PIXEL.get(kind, LEAST_PER_PIXEL)


@cache
def pillow_formats() -> dict[str, tuple[Callable[..., "Image"], Callable[[bytes], bool | str] | None]]:
    """Configures Pillow, once per process, and lists its image formats.

    Returns:
      For each format, a function that opens a file, and one that tests the first bytes of a file.
    """
    # Imported here because other kinds of data do not need Pillow.
    from PIL import Image

    Image.init()
    reads_heif()
    # Only the orientation is read from metadata; a single damaged file could cause a flood of warnings.
    warnings.filterwarnings("ignore", module=r"PIL\.(Tiff|Ico)ImagePlugin")
    # Pillow would warn about TIFFs within our own limit when it decodes them.
    if Image.MAX_IMAGE_PIXELS == PILLOWS_LIMIT:
        Image.MAX_IMAGE_PIXELS = LARGEST_MEMORY // LEAST_PER_PIXEL
    # The C library returns large blocks to the system when freed, and keeps others for the thread.
    Image.core.set_block_size(max(LARGE_BLOCK, Image.core.get_block_size()))
    return {name: Image.OPEN[name] for name in Image.ID if name not in NO_PICTURES}


@cache
def reads_heif() -> bool:
    """Returns True if .heic images can be read, after registering pillow-heif with Pillow."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def has_to_be_image(path: Path) -> bool:
    """Returns True if a file's suffix is that of a supported image format.

    >>> has_to_be_image(Path("a.JPG")), has_to_be_image(Path("a.txt"))
    (True, False)
    """
    from PIL import Image

    pillow_formats()
    suffix = path.suffix.lower()
    return suffix in SUFFIXES and suffix in Image.registered_extensions()


def _accepts(accepts: Callable[[bytes], bool | str] | None, prefix: bytes) -> bool:
    try:
        answer = accepts is None or accepts(prefix)
    except (IndexError, struct.error):  # the file is too short
        return False
    return bool(answer) and not isinstance(answer, str)  # a string is the reason why a format is unsupported


def _first(formats: Sequence[str], file: IO[bytes], name: str) -> "Image":
    for each in formats:
        file.seek(0)
        try:
            return pillow_formats()[each][0](file, name)
        except NOT_THIS_FORMAT:
            continue
    return None


def _check_size(path: Path, image: "Image") -> None:
    width, height = image.size
    most = LARGEST_MEMORY // MEMORY_PER_PIXEL.get(image.format, LEAST_PER_PIXEL)
    if width * height > most:
        raise TooLargeError(
            f"{path} has {width:,} x {height:,} pixels, expected at most {most:,} in total for "
            f"{image.format}; shrink it first"
        )
