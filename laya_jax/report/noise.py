"""Small input noise, to test the stability of attention."""

import numpy as np
from numpy.typing import NDArray

NOISE = 0.05
"""Standard deviation of the noise, relative to that of the inputs: of all pixels for images, and of each
entry over the examples for features and cached hidden states. For texts, the fraction of words that are
replaced by the unknown token."""

DRAWN_AT_ONCE = 128
"""Examples per draw of noise, which takes eight bytes per value where an image may take one."""


def with_noise(inputs: NDArray, unknown: int) -> NDArray:
    """Adds noise to inputs, in their dtype.

    Args:
      inputs: Images, features, hidden states or tokens, [N, ...].
      unknown: Token of unknown words.

    Returns:
      The inputs with noise of level ``NOISE``.
    """
    generator, noisy = np.random.default_rng(0), np.empty_like(inputs)
    tokens = np.issubdtype(inputs.dtype, np.signedinteger)
    deviation = 0.0 if tokens else NOISE * np.maximum(_deviation(inputs), 1e-12)
    for start in range(0, len(inputs), DRAWN_AT_ONCE):
        part = inputs[start : start + DRAWN_AT_ONCE]
        if tokens:
            changed = np.where((generator.random(part.shape) < NOISE) & (part > 0), unknown, part)
        else:
            changed = part + generator.normal(0, deviation, part.shape)
        if inputs.dtype == np.uint8:
            changed = np.clip(np.round(changed), 0, 255)
        noisy[start : start + DRAWN_AT_ONCE] = changed
    return noisy


def _deviation(inputs: NDArray) -> float | NDArray:
    """Computes the standard deviation; for uint8 from a histogram, since NumPy would convert to float64."""
    if inputs.dtype != np.uint8:
        return inputs.std(axis=0)
    counts = sum(
        np.bincount(inputs[start : start + DRAWN_AT_ONCE].ravel(), minlength=256)
        for start in range(0, len(inputs), DRAWN_AT_ONCE)
    )
    values = np.arange(256)
    mean = np.average(values, weights=counts)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
