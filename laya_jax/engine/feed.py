"""Transfer of a split's examples to the devices: all at once if they fit, otherwise in chunks."""

from collections.abc import Iterator
from itertools import islice
from typing import TypeAlias

import jax
import numpy as np
from numpy.typing import NDArray

from laya_jax.data import Examples, stream
from laya_jax.engine.parallel import Parallel
from laya_jax.engine.steps import Batch, Batches, Data

CHUNK = 50
"""Batches per call of a compiled function: enough to hide Python's overhead, few enough to be responsive."""

LARGEST_RESIDENT = 2**31
"""Maximum size of a split's inputs, in bytes, for it to stay resident on the devices."""

Indices: TypeAlias = NDArray[np.int32]


class Feed:
    """Feeds batches of one split to the devices.

    Attributes:
      data: Examples on the devices, or None if they are streamed.
    """

    def __init__(
        self,
        examples: Examples,
        parallel: Parallel,
        largest_resident: int = LARGEST_RESIDENT,
        chunk: int | None = None,
    ) -> None:
        self._examples = examples
        self._parallel = parallel
        self._chunk = CHUNK if chunk is None else chunk
        self.data: Data = None
        if examples.inputs.nbytes <= largest_resident:
            # Flattened, because a TPU pads small trailing axes and would copy all images before every chunk.
            flat = np.asarray(examples.inputs).reshape(len(self), -1)
            self.data = parallel.replicate(Examples(flat, examples.labels))

    def __len__(self) -> int:
        """Returns the number of examples."""
        return len(self._examples.labels)

    def chunks(self, indices: Indices) -> Iterator[tuple[Batches, int]]:
        """Yields the batches at these indices in chunks.

        Args:
          indices: Indices of the examples, [steps, ..., B], with -1 as padding.

        Yields:
          A full chunk of batches on the devices, sharded along the last axis of the indices, and the number
          of batches in it that are not padding.
        """
        axis = indices.ndim - 1
        streamed = None
        if self.data is None:
            # Prefetches one chunk, so that reading overlaps with computation.
            streamed = stream(self._examples, indices.reshape(len(indices), -1), ahead=self._chunk)
        for start in range(0, len(indices), self._chunk):
            part = indices[start : start + self._chunk]
            host = part if streamed is None else _stack(streamed, part.shape)
            yield self._parallel.split(_fill(host, self._chunk), axis), len(part)


def _stack(streamed: Iterator[tuple[NDArray, ...]], shape: tuple[int, ...]) -> Batch[NDArray]:
    rows = zip(*islice(streamed, shape[0]), strict=True)
    return Batch(*(np.stack(row).reshape(*shape, *row[0].shape[1:]) for row in rows))


def _fill(host: Batches, chunk: int) -> Batches:
    """Pads to a full chunk of batches; the padding is never read."""

    def fill(leaf: NDArray) -> NDArray:
        return np.concatenate([leaf, np.zeros((chunk - len(leaf), *leaf.shape[1:]), leaf.dtype)])

    return jax.tree.map(fill, host)
