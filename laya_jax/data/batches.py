"""Batches as functions of (seed, step): no iterator has a state that resuming would have to restore."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.dataset import Examples


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Steps in which every example comes once; the last one may be short.

    >>> steps_per_epoch(54_000, 128)
    422
    """
    return -(-examples // batch_size)


def batch_indices(
    examples: int, batch_size: int, seed: int, first_step: int, steps: int
) -> NDArray[np.int32]:
    """Which examples are in the batches of some steps.

    Every epoch goes through all examples in an order of its own, and fills up its last batch with -1.

    Args:
      examples: how many there are.
      batch_size: examples per step.
      seed: of the run.
      first_step: counted from 0 over the whole run.
      steps: how many.

    Returns:
      Rows of the examples, [steps, batch_size].

    >>> batch_indices(5, 2, seed=0, first_step=2, steps=2)
    array([[ 1, -1],
           [ 1,  4]], dtype=int32)
    """
    per_epoch = steps_per_epoch(examples, batch_size)
    last_step = first_step + steps
    epochs = [
        evaluation_indices(examples, batch_size, np.random.default_rng([seed, epoch]).permutation(examples))
        for epoch in range(first_step // per_epoch, steps_per_epoch(last_step, per_epoch))
    ]
    skipped = first_step % per_epoch
    return np.concatenate(epochs)[skipped : skipped + steps]


def evaluation_indices(examples: int, batch_size: int, order: NDArray | None = None) -> NDArray[np.int32]:
    """Batches of all examples, each once, [batches, batch_size], the last filled up with -1.

    >>> evaluation_indices(5, 2)
    array([[ 0,  1],
           [ 2,  3],
           [ 4, -1]], dtype=int32)
    """
    batches = np.full((steps_per_epoch(examples, batch_size), batch_size), -1, np.int32)
    batches.reshape(-1)[:examples] = np.arange(examples) if order is None else order
    return batches


def stream(
    examples: Examples, indices: NDArray, ahead: int = 8
) -> Iterator[tuple[NDArray, NDArray, NDArray[np.float32]]]:
    """The batches of these indices, read ahead by threads, for data that do not fit on the device.

    Args:
      examples: whose inputs may be read from files.
      indices: [steps, batch_size]; -1 where a batch is filled up.
      ahead: batches that wait, read, for whoever is busy with those before.

    Yields:
      Inputs, labels, and weights: 1 for an example, 0 for what fills up.
    """
    # Data that fit need no grain.
    import grain

    def read(rows: NDArray) -> tuple[NDArray, NDArray, NDArray[np.float32]]:
        there = np.maximum(rows, 0)
        return np.asarray(examples.inputs[there]), examples.labels[there], (rows >= 0).astype(np.float32)

    options = grain.ReadOptions(num_threads=4, prefetch_buffer_size=ahead)
    yield from grain.MapDataset.source(indices).map(read).to_iter_dataset(options)
