"""Brings a split's examples to the devices: once for all if they fit, else chunk by chunk."""

from collections.abc import Iterator
from itertools import islice
from typing import TypeAlias

import jax
import numpy as np
from numpy.typing import NDArray

from laya_jax.data import Examples
from laya_jax.data.batches import stream
from laya_jax.training.parallel import Parallel
from laya_jax.training.steps import Batch, Batches, Data

CHUNK = 50
"""Batches per call of a compiled function: enough to keep Python out of the way, few enough to react soon."""

LARGEST_RESIDENT = 2**31
"""Bytes of inputs up to which a split stays on the devices."""

Indices: TypeAlias = NDArray[np.int32]


class Feed:
    """The examples of one split.

    Attributes:
      data: the examples on the devices, or None if they are streamed.
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
            # Flat: a TPU pads small last axes, and would lay out all images anew before every chunk.
            flat = np.asarray(examples.inputs).reshape(len(self), -1)
            self.data = parallel.replicate(Examples(flat, examples.labels))

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self._examples.labels)

    def chunks(self, indices: Indices) -> Iterator[tuple[Batches, int]]:
        """The batches of these indices, a chunk at a time, and how many of them there are.

        Args:
          indices: [steps, ..., B]; -1 where a batch is filled up.

        Yields:
          Batches on the devices, divided along the last axis of the indices, always a whole chunk of them.
        """
        axis = indices.ndim - 1
        streamed = None
        if self.data is None:
            # A chunk ahead, so that reading goes on while the devices compute.
            streamed = stream(self._examples, indices.reshape(len(indices), -1), ahead=self._chunk)
        for start in range(0, len(indices), self._chunk):
            part = indices[start : start + self._chunk]
            host = part if streamed is None else _stack(streamed, part.shape)
            yield self._parallel.split(_fill(host, self._chunk), axis), len(part)


def _stack(streamed: Iterator[tuple[NDArray, ...]], shape: tuple[int, ...]) -> Batch:
    rows = zip(*islice(streamed, shape[0]), strict=True)
    return Batch(*(np.stack(row).reshape(*shape, *row[0].shape[1:]) for row in rows))


def _fill(host: Batches, chunk: int) -> Batches:
    """Fills up to a whole chunk of batches, with what is never read."""

    def fill(leaf: NDArray) -> NDArray:
        return np.concatenate([leaf, np.zeros((chunk - len(leaf), *leaf.shape[1:]), leaf.dtype)])

    return jax.tree.map(fill, host)
