"""Per-channel mean and scale of stored inputs, for normalisation."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.rows import Rows

CONSTANT = 2.0**-22
"""Standard deviation relative to the mean up to which a channel is constant: float32 rounding error."""

SMALLEST = float(np.finfo(np.float32).tiny)
"""Standard deviation up to which a channel is always constant: the smallest normal float32."""

IMPRECISE = 1e-3
"""Float32 rounding error of a channel, relative to its standard deviation, above which a note is issued."""

NOISE = 1e-12
"""Standard deviation relative to the mean of a constant channel, due to float64 arithmetic."""

CHUNK = 1000
"""Number of inputs read at a time."""


class Moments(NamedTuple):
    """Mean and scale of every channel."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]


def moments(inputs: Rows) -> Moments:
    """Computes mean and standard deviation per channel, the last axis; the scale of a constant channel is 1.

    Args:
      inputs: Stored inputs [N, ..., channels], read a thousand at a time.

    >>> found = moments(np.array([[1e6 + 1, 0.1], [1e6 - 1, 0.1]], np.float32))
    >>> found.scale
    (1.0, 1.0)
    """
    mean, deviation = _mean_and_deviation(inputs)
    varies = deviation > np.maximum(CONSTANT * np.abs(mean), SMALLEST)
    return Moments(tuple(mean.tolist()), tuple(np.where(varies, deviation, 1).tolist()))


def _mean_and_deviation(inputs: Rows) -> tuple[NDArray, NDArray]:
    """Computes both to float64 precision for any offset, merging chunks as Chan, Golub and LeVeque do."""
    channels = inputs.shape[-1]
    mean, squares, count = np.zeros(channels), np.zeros(channels), 0
    for start in range(0, len(inputs), CHUNK):
        rows = np.asarray(inputs[start : start + CHUNK], np.float64).reshape(-1, channels)
        total = count + len(rows)
        shift = rows.mean(axis=0) - mean
        squares += ((rows - rows.mean(axis=0)) ** 2).sum(axis=0) + shift**2 * (count * len(rows) / total)
        mean += shift * (len(rows) / total)
        count = total
    return mean, np.sqrt(squares / count)


def imprecise_channels(wide: NDArray, values: NDArray[np.float32]) -> list[int]:
    """Finds channels whose differences do not survive rounding to float32, such as Unix times.

    >>> wide = np.array([[1.7e9, 1], [1.7e9 + 9, 2]])
    >>> imprecise_channels(wide, wide.astype(np.float32))
    [0]
    """
    if np.can_cast(wide.dtype, np.float32):
        return []
    channels = wide.shape[-1]
    error = np.zeros(channels)
    for start in range(0, len(wide), CHUNK):
        of = slice(start, start + CHUNK)
        lost = np.abs(np.asarray(wide[of], np.float64) - values[of]).reshape(-1, channels)
        error = np.maximum(error, lost.max(axis=0))
    mean, deviation = _mean_and_deviation(wide)
    varies = deviation > NOISE * np.abs(mean)
    return np.flatnonzero(varies & (error > IMPRECISE * deviation)).tolist()
