"""Image files: description, and decoding to upright pixels with 8 bits per channel."""

import hashlib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.budget import MEMORY
from laya_jax.data.image_kinds import (
    LARGEST_FILE,
    PILLOWS_LIMIT,
    RAW,
    TooLargeError,
    has_to_be_image,
    memory_of,
    opened,
)
from laya_jax.data.orientation import orientation_of, turned

if TYPE_CHECKING:
    from PIL.Image import Image

UPRIGHT, TRANSPARENT, DEEP_GREY, LARGE = "upright", "transparent", "16-bit grey", "large"
"""Traits of images that are not read as stored, or not as in earlier versions."""

DEEP_COLOUR, FRAMES = "16-bit colour", "frames"
"""Traits that are reported in notes, although such images have always been read in this way."""

WITH_FRAMES = frozenset({"AVIF", "GIF", "PNG", "TIFF", "WEBP"})
"""Formats in which a file may contain several images. (In others, the additional images are previews.)"""

BLOCK = 2**20
"""Block size in bytes for hashing files."""


class Picture(NamedTuple):
    """Description of an image file, from its header and content hashes.

    Attributes:
      path: Path of the file.
      checksum: CRC-32 of the file.
      digest: Longer hash of the file, for duplicate detection.
      size: Width and height in pixels, upright.
      kind: Format, as named by Pillow.
      is_grey: True if the image has neither colours nor an alpha channel.
      orientation: EXIF orientation, from 1 (upright) to 8.
      traits: Properties that change how the image is read, or that are reported in notes.
    """

    path: Path
    checksum: int
    digest: bytes
    size: tuple[int, int]
    kind: str
    is_grey: bool
    orientation: int
    traits: tuple[str, ...]


def describe(path: Path) -> Picture | None:
    """Describes an image file without keeping its pixels.

    Returns:
      The description; None for a file that is not an image, unless its suffix says that it should be one.

    Raises:
      ValueError: The image cannot be read, is too large, or has an unsupported bit depth.
    """
    if not path.is_file() or path.suffix.lower() in RAW:
        return None
    if path.stat().st_size > LARGEST_FILE and not has_to_be_image(path):
        return None
    try:
        with opened(path) as image:
            found = None if image is None else _described(path, image)
    except (TooLargeError, _DepthError):
        raise
    except Exception as error:  # Pillow's formats raise anything when a file is damaged
        if has_to_be_image(path):
            raise _unreadable(path, error) from error
        return None
    if found is None and has_to_be_image(path):
        raise _unreadable(path, "its content is not in an image format that Pillow knows")
    return found


def read_pixels(picture: Picture, size: int | None, channels: int, background: str) -> NDArray[np.uint8]:
    """Decodes an image: upright, without transparency, with 8 bits per channel.

    Args:
      picture: Description of the image.
      size: Height and width in pixels of the resized centre crop; None keeps the image's own size.
      channels: Number of channels: 1 for grey, 3 for RGB.
      background: Background colour for transparent pixels, as named by Pillow.

    Returns:
      Pixels [H, W, C].

    Raises:
      ValueError: The image cannot be read.
    """
    from PIL import Image, ImageOps

    width, height = picture.size
    mode = "L" if channels == 1 else "RGB"
    try:
        with opened(picture.path) as image, MEMORY.holding(memory_of(picture.kind, width * height)):
            if image is None:
                raise ValueError("it is no longer an image")
            if LARGE in picture.traits and size is not None:
                image.draft(None, (2 * size, 2 * size))  # a fraction of its size, still larger than needed
            image = _flat(image, picture, background)
            image = image if image.mode == mode else image.convert(mode)
            if size is not None:
                image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
            return np.asarray(image).reshape(image.height, image.width, channels)
    except TooLargeError:
        raise
    except Exception as error:  # Pillow's formats raise anything when a file is damaged
        raise _unreadable(picture.path, error) from error


class _DepthError(ValueError):
    """Raised for pixels of an unsupported bit depth."""


def _described(path: Path, image: "Image") -> Picture:
    width, height = image.size
    deep = _is_deep_grey(image)
    if image.mode in ("I", "F") and not deep:
        raise _DepthError(
            f"{path} has pixels of mode {image.mode}, 32 bits without a fixed range, expected 8 or 16 bits "
            "per channel: convert it, or pass the numbers as npz:FILE"
        )
    grey = deep or image.mode in ("1", "L")
    orientation = orientation_of(path, image)
    traits = {
        UPRIGHT: orientation > 1,
        DEEP_GREY: deep,
        DEEP_COLOUR: not deep and any(";16" in str(tile[3]) for tile in image.tile),
        LARGE: image.format in ("JPEG", "MPO") and width * height > PILLOWS_LIMIT,
        FRAMES: image.format in WITH_FRAMES and bool(getattr(image, "is_animated", False)),
        TRANSPARENT: image.has_transparency_data and _is_transparent(image),
    }
    size = (height, width) if orientation > 4 else (width, height)
    held = tuple(name for name, holds in traits.items() if holds)
    return Picture(path, *_checksums(path), size, image.format, grey, orientation, held)


def _is_deep_grey(image: "Image") -> bool:
    # Pillow scales a .pgm to 16 bits, in mode I.
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def _is_transparent(image: "Image") -> bool:
    """Returns True if any pixel is transparent."""
    with MEMORY.holding(memory_of(image.format, image.width * image.height)):
        image.load()
        image = _eight_bits(image) if _is_deep_grey(image) else image
        alpha = image if "A" in image.getbands() else image.convert("RGBA")
        return bool(alpha.getchannel("A").getextrema()[0] < 255)


def _flat(image: "Image", picture: Picture, background: str) -> "Image":
    """Returns the image upright, with 8 bits per channel, on the background."""
    from PIL import Image

    image.load()
    image = _eight_bits(image) if _is_deep_grey(image) else image
    image = turned(image, picture.orientation)
    if TRANSPARENT not in picture.traits:
        image.info.pop("transparency", None)  # Pillow would warn about it
        return image
    image = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image, (0, 0), image)
    return canvas


def _eight_bits(image: "Image") -> "Image":
    """Reduces a 16-bit grey image to its upper 8 bits, as Pillow does for 16-bit colours."""
    from PIL import Image

    values = np.asarray(image)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    clear = image.info.get("transparency")
    if clear is not None:
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _checksums(path: Path) -> tuple[int, bytes]:
    """Computes the CRC-32 and a longer hash of a file."""
    checksum, known = 0, hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
            known.update(block)
    return checksum, known.digest()


def _unreadable(path: Path, reason: object) -> ValueError:
    return ValueError(f"{path} cannot be read as an image: {reason}")
