"""Kinds of image files: what a file is by its content, and how large an image may be."""

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

from laya_jax.data.budget import MEMORY

HEIF = frozenset({".heic", ".heif", ".hif"})
"""Suffixes of the images of telephones for which Pillow needs pillow-heif."""

SUFFIXES = HEIF | {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".gif", ".webp", ".avif", ".tif"),
    *(".tiff", ".bmp", ".dib", ".ico", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"),
}
"""Suffixes of files that have to be images: one that cannot be read is an error; other files are skipped."""

RAW = frozenset(
    (".3fr", ".arw", ".cr2", ".cr3", ".dng", ".iiq", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw")
)
"""Suffixes of raw photographs, of which Pillow would read a small preview as if it were the image."""

NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""Formats that Pillow recognises without decoding them, or hands to another program (Ghostscript)."""

LARGEST_FILE = 2**30
"""Bytes of the largest file that is read."""

LARGEST_MEMORY = 900_000_000
"""Bytes that decoding one image may take: 112.5 million pixels in the formats that need least."""

MEMORY_PER_PIXEL = {"AVIF": 14, "HEIF": 12, "JPEG2000": 24, "WEBP": 20}
"""Bytes that decoding takes in formats whose decoders hold an image several times, as measured."""

LEAST_PER_PIXEL = 8
"""Bytes that decoding takes in all other formats: four, and as many again to turn or flatten an image."""

NESTED = frozenset({"ICNS", "ICO"})
"""Formats that hold a file of another format, whose size their header need not tell."""

LARGE_BLOCK = 2**26
"""Bytes of the blocks in which Pillow allocates large images."""

PILLOWS_LIMIT = 2**30 // 12
"""Pixels above which Pillow warns, unless told otherwise: a quarter of a gigabyte of colours."""


NOT_THIS_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)
"""Errors by which Pillow's formats say that a file is of another one."""


class TooLargeError(ValueError):
    """An image whose file or number of pixels is beyond what is read."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Opens an image by its content and checks its size; its pixels are not decoded yet.

    Pillow's own ``open`` warns of images that are read here, and only warns of some that are not.

    Args:
      path: Path of a regular file.

    Yields:
      The image of the first of Pillow's formats that takes the file; None if there is none.

    Raises:
      TooLargeError: The file or the image is too large.
      Exception: The file is damaged; Pillow's formats raise anything.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise TooLargeError(f"{path} has {size:,} bytes, expected at most {LARGEST_FILE:,}")
    with path.open("rb") as file:
        prefix = file.read(16)
        takers = [name for name, (_, accepts) in pillow_formats().items() if _accepts(accepts, prefix)]
        # Opening may read the whole file, and decodes an icon.
        with MEMORY.holding(size if NESTED.isdisjoint(takers) else LARGEST_MEMORY):
            image = _first(takers, file, str(path))
        if image is not None:
            _check_size(path, image)
        yield image


def memory_of(kind: str, pixels: int) -> int:
    """Number of bytes that decoding an image of this format takes at most.

    >>> memory_of("PNG", 1000)
    8000
    """
    return LARGEST_MEMORY if kind in NESTED else pixels * MEMORY_PER_PIXEL.get(kind, LEAST_PER_PIXEL)


@cache
def pillow_formats() -> dict[str, tuple[Any, Any]]:
    """Prepares Pillow, once for the process, and lists its formats of images.

    Returns:
      For each format a function that opens a file, and one that judges a file by its first bytes.
    """
    # Data of other kinds need no Pillow.
    from PIL import Image

    Image.init()
    reads_heif()
    # Metadata are not read, but for the orientation; one damaged file could fill the screen with theirs.
    warnings.filterwarnings("ignore", module=r"PIL\.(Tiff|Ico)ImagePlugin")
    # Pillow would warn of TIFFs within our own limit when it decodes them.
    if Image.MAX_IMAGE_PIXELS == PILLOWS_LIMIT:
        Image.MAX_IMAGE_PIXELS = LARGEST_MEMORY // LEAST_PER_PIXEL
    # The C library returns large blocks to the system once they are free, and keeps others for the thread.
    Image.core.set_block_size(max(LARGE_BLOCK, Image.core.get_block_size()))
    return {name: Image.OPEN[name] for name in Image.ID if name not in NO_PICTURES}


@cache
def reads_heif() -> bool:
    """Tells whether images of telephones (.heic) can be read; from then on, Pillow reads them."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def has_to_be_image(path: Path) -> bool:
    """Tells whether a file's suffix says that it is an image that can be read.

    >>> has_to_be_image(Path("a.JPG")), has_to_be_image(Path("a.txt"))
    (True, False)
    """
    from PIL import Image

    pillow_formats()
    suffix = path.suffix.lower()
    return suffix in SUFFIXES and suffix in Image.registered_extensions()


def _accepts(accepts: Any, prefix: bytes) -> bool:
    try:
        answer = accepts is None or accepts(prefix)
    except (IndexError, struct.error):  # the file is shorter
        return False
    return bool(answer) and not isinstance(answer, str)  # a text is the reason why a format cannot be read


def _first(formats: Sequence[str], file: IO[bytes], name: str) -> Any:
    for each in formats:
        file.seek(0)
        try:
            return pillow_formats()[each][0](file, name)
        except NOT_THIS_FORMAT:
            continue
    return None


def _check_size(path: Path, image: Any) -> None:
    width, height = image.size
    most = LARGEST_MEMORY // MEMORY_PER_PIXEL.get(image.format, LEAST_PER_PIXEL)
    if width * height > most:
        raise TooLargeError(
            f"{path} has {width:,} x {height:,} pixels, expected at most {most:,} in all for {image.format}; "
            "shrink it first"
        )
