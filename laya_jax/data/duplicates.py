"""Detection of duplicates across splits or classes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.splits import Splits


def keys_of(inputs: NDArray) -> NDArray[np.int64]:
    """Hashes the content of each input; the hashes are valid only within this process."""
    if inputs.dtype == object:
        return np.array([hash(each) for each in inputs], np.int64)
    return np.array([hash(each.tobytes()) for each in inputs], np.int64)


def duplicates(keys: Splits[NDArray], labels: Splits[NDArray]) -> Iterator[str]:
    """Yields notes on duplicate examples.

    Args:
      keys: Key of every example of each split, such as a checksum of its content.
      labels: Labels of the examples of each split.

    >>> keys, labels = (
    ...     Splits(*np.array([[1, 2], [3, 4], [1, 5]])),
    ...     Splits(*np.array([[0, 1], [0, 1], [1, 1]])),
    ... )
    >>> list(duplicates(keys, labels))
    ['1 of 2 test examples is also in the training split', '2 examples are in several classes']
    """
    for name in ("validation", "test"):
        held_out: NDArray = getattr(keys, name)
        if copies := int(np.isin(held_out, keys.train).sum()):
            is_in = "is" if copies == 1 else "are"
            yield f"{copies:,} of {len(held_out):,} {name} examples {is_in} also in the training split"
    all_keys = np.concatenate(keys)
    pairs = np.unique(np.stack([all_keys, np.concatenate(labels)], axis=1), axis=0)
    several, counts = np.unique(pairs[:, 0], return_counts=True)
    if copies := int(np.isin(all_keys, several[counts > 1]).sum()):
        yield f"{copies:,} examples are in several classes"
