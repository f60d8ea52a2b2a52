"""Interface of stored inputs, in memory or in files."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Rows(Protocol):
    """Stored inputs [N, ...]: a NumPy array, or an array-like object that reads rows from files on demand."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows and shape of one."""

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the rows."""

    def __len__(self) -> int:
        """Returns the number of rows."""

    def __getitem__(self, rows: NDArray | slice, /) -> NDArray:
        """Reads some rows."""
