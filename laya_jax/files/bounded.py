"""Bounded reading of our own files: regular, UTF-8, of limited size, never through a symbolic link."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

LARGEST_TEXT = 2**28
"""Maximum size in bytes of one of our own text files, so that a hostile one cannot exhaust memory."""

DIRECT = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
"""Flags for opening a file without following a symbolic link."""


@contextmanager
def reading(path: str | Path) -> Iterator[BufferedReader]:
    """Opens a regular file to read bytes.

    Args:
      path: Path of the file; a symbolic link is refused.

    Yields:
      The open file.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The path is a link or not a regular file, or cannot be read.
    """
    path = Path(path)
    try:
        # O_NONBLOCK, because opening a pipe would otherwise wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | DIRECT)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(f"{path} cannot be read: it is not a regular file")
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "it is a symbolic link" if path.is_symlink() else error.strerror
        raise ValueError(f"{path} cannot be read: {reason}") from error


def read_bytes(path: str | Path, largest: int = LARGEST_TEXT) -> bytes:
    """Reads a file of our own.

    Args:
      path: Path of a regular file; a symbolic link is refused.
      largest: Maximum size in bytes.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is a link, too large or cannot be read.
    """
    with reading(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise ValueError(f"{path} has {size:,} bytes, expected at most {largest:,}")
        return file.read()


def read_text(path: str | Path, largest: int = LARGEST_TEXT) -> str:
    """Reads a UTF-8 text file of our own, whatever the locale.

    Args:
      path: Path of a regular file; a symbolic link is refused.
      largest: Maximum size in bytes.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is a link, too large, not UTF-8 or cannot be read.
    """
    try:
        return read_bytes(path, largest).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error


def read_json(path: str | Path) -> Any:
    """Reads a JSON file of our own.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read as JSON; the message names it.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # too many digits raise a plain ValueError
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} cannot be read as JSON: {reason}") from error


def refuse_links(directory: str | Path) -> None:
    """Raises if anything inside an untrusted directory is neither a regular file nor a folder.

    Symbolic links may point anywhere, and reading pipes and devices may never end.

    Args:
      directory: Path of the directory, which itself may be a link.

    Raises:
      ValueError: There is a link, a pipe or a device; the message names it.
    """
    for folder, folders, files in os.walk(directory, followlinks=False):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            with suppress(FileNotFoundError):  # another process may clean up here
                mode = os.lstat(path).st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    what = "a symbolic link" if stat.S_ISLNK(mode) else "a pipe, a device or similar"
                    raise ValueError(f"{path} is {what}, expected a regular file or folder")


def digest(path: str | Path) -> str:
    """Computes the SHA-256 of a file's content, in hexadecimal.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is a symbolic link, or cannot be read.
    """
    with reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
