"""Text files in UTF-8, or in UTF-16 as saved by spreadsheets, optionally compressed by gzip."""

import codecs
import gzip
import io
import zlib
from pathlib import Path

EXPANSION = 100
"""Maximum expansion factor of a compressed file, ten times that of ordinary text."""

UNSUSPICIOUS = 2**26
"""Decompressed size in bytes that is always accepted."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_text(path: Path, newline: str) -> io.TextIOWrapper:
    r"""Reads a text file into memory, and returns it as a text stream.

    Args:
      path: Path of the file; a file that ends in ``.gz`` is decompressed.
      newline: Line ending, as for ``open``: "" for any, or "\n".

    Raises:
      ValueError: The file is not text in UTF-8, or in UTF-16 with a byte order mark, or is not gzip.
    """
    content = _decompressed(path) if path.suffix.lower() == ".gz" else path.read_bytes()
    encoding = "utf-16" if content[:2] in _UTF16 else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding, "replace").count("\n") + 1
        raise ValueError(
            f"{path}, line {line}: {error.reason} at byte {error.start}, expected UTF-8 (in a spreadsheet, "
            "save as 'CSV UTF-8')"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{path}, line {line}: NUL character, expected text in UTF-8")
    return io.TextIOWrapper(io.BytesIO(content), encoding, newline=newline)


def check_expansion(path: Path, size: int, compressed: int) -> None:
    """Checks that a compressed file does not expand implausibly.

    Args:
      path: Path of the file.
      size: Number of decompressed bytes so far.
      compressed: Number of compressed bytes.

    Raises:
      ValueError: The file is a decompression bomb.
    """
    if size > max(UNSUSPICIOUS, EXPANSION * compressed):
        raise ValueError(
            f"{path} expands to more than {EXPANSION} times its size, which no ordinary text does; if you "
            "trust it, decompress it yourself"
        )


def _decompressed(path: Path) -> bytes:
    content = io.BytesIO()
    try:
        with path.open("rb") as raw, gzip.open(raw) as file:
            while chunk := file.read(2**20):
                content.write(chunk)
                check_expansion(path, content.tell(), raw.tell())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as gzip: {error}") from error
    return content.getvalue()
