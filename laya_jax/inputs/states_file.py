"""Storage of hidden states on disk with a checksum per row, so that damaged rows can be recomputed."""

import os
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from laya_jax.files import refuse_links

STATES, CHECKSUMS = "states.npy", "checksums.npy"

WRITTEN = np.uint64(2**32)
"""Flag added to the checksum of a written row; 0 marks a row that has not been written."""


class StatesFile:
    """Array [N, L, D] of float32 in a folder, whose rows can be written in any order.

    A row is written before its checksum, so that the process can be killed at any time.

    Attributes:
      path: Path of the array.
      intact: True for each row that is written and undamaged, [N].

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> file = StatesFile(folder, (3, 2, 4))
    >>> file.begin()
    >>> file.write(np.array([2, 0]), np.ones((2, 2, 4), np.float32))
    >>> StatesFile(folder, (3, 2, 4)).intact
    array([ True, False,  True])
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        if folder.is_symlink():
            raise ValueError(f"{folder} is a symbolic link, expected a folder")
        refuse_links(folder)
        self.path = folder / STATES
        self._folder, self._shape = folder, shape
        self._states: Any = _open(self.path, np.float32, shape)
        self._checksums: Any = _open(folder / CHECKSUMS, np.uint64, shape[:1])
        self.intact = self._check()

    def begin(self) -> None:
        """Opens the files for writing, with all their disk space allocated.

        Raises:
          OSError: There is not enough disk space; the error names the file.
        """
        if not self.intact.any():
            # In this order, leftover checksums can never match new states.
            _make(self._folder / CHECKSUMS, np.uint64, self._shape[:1])
            _make(self.path, np.float32, self._shape)
        for path in (self.path, self._folder / CHECKSUMS):
            _reserve(path)
        self._states, self._checksums = (
            np.load(path, mmap_mode="r+") for path in (self.path, self._folder / CHECKSUMS)
        )

    def write(self, rows: NDArray, values: NDArray[np.float32]) -> None:
        """Writes some rows, and then their checksums."""
        self._states[rows] = values
        self._states.flush()
        self._checksums[rows] = _checksums(values)
        self._checksums.flush()
        self.intact[rows] = True

    def _check(self) -> NDArray[np.bool_]:
        """Verifies the checksums of the written rows, and warns about mismatches."""
        missing = np.zeros(self._shape[0], bool)
        if self._checksums is None or self._states is None:
            if self.path.exists() and (self._checksums is None or self._checksums.any()):
                self._warn("the hidden states are damaged, or from an earlier version without checksums")
            return missing
        intact = _checksums(self._states) == self._checksums
        damaged = np.count_nonzero(~intact & (self._checksums != 0))
        if damaged:
            self._warn(f"{damaged:,} of {len(intact):,} hidden states are damaged")
        return intact

    def _warn(self, what: str) -> None:
        warnings.warn(f"{self._folder}: {what}; they will be recomputed", stacklevel=4)


def _checksums(values: NDArray) -> NDArray[np.uint64]:
    rows = np.ascontiguousarray(values)
    return np.array([zlib.crc32(row.data) for row in rows], np.uint64) + WRITTEN


def _open(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> np.memmap | None:
    """Memory-maps an array of this dtype and shape; None if the file does not contain one."""
    try:
        array = np.load(path, mmap_mode="r")
    except Exception:  # damaged files make NumPy raise anything
        return None
    return array if (array.dtype, array.shape) == (np.dtype(dtype), shape) else None


def _make(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    path.unlink(missing_ok=True)
    np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _reserve(path: Path) -> None:
    """Allocates a file's disk space; writing to a memory-mapped sparse file on a full disk is fatal."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            error.filename = str(path)
            raise
