"""EXIF orientation of images, which cameras record instead of rotating the pixels."""

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_EXIF = 2**20
"""Maximum number of bytes of EXIF in a PNG that are searched for the orientation."""


def orientation_of(path: Path, image: "Image") -> int:
    """Returns the EXIF orientation of an opened image, from 1 (upright) to 8.

    It is 1 for TIFF, which Pillow rotates while decoding.
    """
    return orientation_in(_exif(path, image))


def orientation_in(exif: bytes) -> int:
    r"""Parses the orientation in EXIF, from 1 (upright) to 8; 1 if it is missing or damaged.

    Pillow would read all of EXIF, where a crafted file can make every entry as long as the whole.

    >>> entry = struct.pack("<HHLHH", 0x0112, 3, 1, 6, 0)
    >>> orientation_in(b"Exif\0\0II*\0" + struct.pack("<LH", 8, 1) + entry)
    6
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}L", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, start)
        for offset in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, offset)
            if tag == 0x0112:
                (value,) = struct.unpack_from(order + ("L" if kind == 4 else "H"), exif, offset + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # past the end
        pass
    return 1


def turned(image: "Image", orientation: int) -> "Image":
    """Rotates and flips an image of this orientation upright."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _exif(path: Path, image: "Image") -> bytes:
    if image.format == "TIFF":
        return b""
    exif: bytes = image.info.get("exif") or b""  # pillow-heif sets None
    if exif or image.format != "PNG":
        return exif
    with path.open("rb") as file:
        exif = _chunk(file, b"eXIf")  # the chunk may follow the pixels
    with suppress(
        ValueError
    ):  # format of older versions of ImageMagick: three lines, then hexadecimal digits
        text = image.info.get("Raw profile type exif", "")
        exif = exif or bytes.fromhex("".join(text.split("\n")[3:]))
    return exif


def _chunk(file: IO[bytes], name: bytes) -> bytes:
    """Reads the content of a PNG chunk at any position; empty if there is none."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, found = struct.unpack(">L4s", head)
        if found == name:
            return file.read(min(length, LONGEST_EXIF))
        file.seek(length + 4, os.SEEK_CUR)
    return b""
