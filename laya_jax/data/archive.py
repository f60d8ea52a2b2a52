"""Reading of arrays from untrusted .npz files, without unpickling and in bounded memory."""

import math
import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.class_names import plain

SUFFIX = ".npy"
"""Suffix of the names of array members."""

END = struct.Struct("<4s4H2LH")
"""End of central directory record of a .zip file; the number of members is its fifth field."""

UNCOUNTED = 0xFFFF
"""Number of members that marks a ZIP64 archive, whose count does not fit the field."""

UNPACKED, RATIO = 2**30, 100
"""Maximum unpacked size of a member in bytes, or as a multiple of the file size, whichever is larger."""


def array_names(path: Path) -> list[str]:
    """Lists the names of all members of a .npz file, in order; members other than arrays keep their suffix.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read.
    """
    with _opened(path) as archive:
        return [member.filename.removesuffix(SUFFIX) for member in archive.infolist()]


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, NDArray]:
    """Reads the named arrays of a .npz file, or all of them.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: An array cannot be read, or has object dtype.
    """
    with _opened(path) as archive:
        members = {member.filename.removesuffix(SUFFIX): member for member in archive.infolist()}
        largest = max(UNPACKED, RATIO * path.stat().st_size)
        return {name: _read(archive, members[name], largest) for name in (names or members)}


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            if file.read(6) == np.lib.format.MAGIC_PREFIX:
                raise ValueError(
                    "it is a single array (.npy), expected numpy.savez(FILE, inputs=…, labels=…)"
                )
        with zipfile.ZipFile(path) as archive:
            _check_directory(path, archive)
            yield archive
    except Exception as error:  # damaged files make zipfile, zlib and NumPy raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} cannot be read as .npz: {reason}") from error


def _check_directory(path: Path, archive: zipfile.ZipFile) -> None:
    """Rejects archives with duplicate names, or with members missing through damage that zipfile ignores."""
    names = archive.namelist()
    if len(set(names)) < len(names):
        raise ValueError("two of its arrays have the same name")
    with path.open("rb") as file:
        file.seek(-END.size - len(archive.comment), os.SEEK_END)
        count = END.unpack(file.read(END.size))[4]
    if count not in (len(names), UNCOUNTED):
        raise ValueError(f"its directory lists {len(names)} of {count} arrays")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, largest: int) -> NDArray:
    name = plain(member.filename)
    if member.flag_bits & 1:
        raise ValueError(f"{name} is encrypted")
    if not member.filename.endswith(SUFFIX):
        raise ValueError(f"{name} is not an array")
    if member.file_size > largest:
        raise ValueError(f"{name} unpacks to {member.file_size:,} bytes, expected at most {largest:,}")
    with archive.open(member) as file:
        _check_header(file, name, member.file_size)
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_header(file: IO[bytes], name: str, size: int) -> None:
    """Checks that a header's array fits the data, since NumPy would allocate it first."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"{name} has format version {version}, expected (1, 0) or (2, 0)")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are never unpickled, expected numbers or text")
    there = size - file.tell()
    if not dtype.itemsize or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != there:
        raise ValueError(f"{name} has a header for shape {shape} and {dtype}, but {there:,} bytes of data")
