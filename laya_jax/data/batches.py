"""Batches as pure functions of (seed, step), so that there is no iterator state to restore on resuming."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.dataset import Examples


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Computes the number of steps per epoch; the last one may be short.

    >>> steps_per_epoch(54_000, 128)
    422
    """
    return -(-examples // batch_size)


def batch_indices(
    examples: int, batch_size: int, seed: int, first_step: int, steps: int
) -> NDArray[np.int32]:
    """Computes the indices of the examples in the batches of consecutive training steps.

    Every epoch visits all examples in a new random order, and pads its last batch with -1.

    Args:
      examples: Number of training examples.
      batch_size: Number of examples per step.
      seed: Random seed of the run.
      first_step: Index of the first step, counted from 0 over the whole run.
      steps: Number of steps.

    Returns:
      Indices of the examples, [steps, batch_size].

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
    """Computes batches of all examples, each once, [batches, batch_size], the last one padded with -1.

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
    """Yields the batches at these indices, prefetched by threads, for data that do not fit on the device.

    Args:
      examples: Examples, whose inputs may be in files.
      indices: Indices of the examples, [steps, batch_size], with -1 as padding.
      ahead: Number of batches to prefetch.

    Yields:
      Inputs, labels, and weights: 1 for an example, 0 for padding.
    """
    # Imported here because resident data do not need grain.
    import grain

    def read(rows: NDArray) -> tuple[NDArray, NDArray, NDArray[np.float32]]:
        there = np.maximum(rows, 0)
        return np.asarray(examples.inputs[there]), examples.labels[there], (rows >= 0).astype(np.float32)

    options = grain.ReadOptions(num_threads=4, prefetch_buffer_size=ahead)
    yield from grain.MapDataset.source(indices).map(read).to_iter_dataset(options)
