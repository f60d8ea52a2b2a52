"""Similarity of two attentions on the same samples, and stability of attention across runs."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr


class Similarity(NamedTuple):
    """Similarity of two attentions on the same samples.

    Attributes:
      same_top_layer: Fraction of the samples with the same top-attention layer.
      centred_correlation: Pearson correlation after subtracting each layer's mean, so that only the
        dependence on the sample counts; None if there is none.
      divergence: Mean Jensen-Shannon divergence in bits, from 0 (identical) to 1.
    """

    same_top_layer: float
    centred_correlation: float | None
    divergence: float


class Stability(NamedTuple):
    """Similarity of attention across several runs.

    Attributes:
      runs: Number of runs.
      between: Mean similarity over pairs of runs.
      chance: Mean similarity with the samples of one run of each pair permuted, which is the level expected
        by chance.
    """

    runs: int
    between: Similarity
    chance: Similarity


class Overlap(NamedTuple):
    """Overlap of depth profiles of several runs, ``sum_i min(p_i, q_i)``, from 0 to 1 (identical).

    Attributes:
      between: Mean overlap over pairs of runs.
      chance: Mean overlap with the layers of one run of each pair permuted, over all permutations.
    """

    between: float
    chance: float


def similarity(first: NDArray, second: NDArray) -> Similarity:
    """Compares two attentions on the same samples.

    Args:
      first: Attention [N, L].
      second: Attention [N, L].

    >>> attention = np.array([[0.9, 0.1], [0.4, 0.6]])
    >>> similarity(attention, attention)
    Similarity(same_top_layer=1.0, centred_correlation=1.0, divergence=0.0)
    """
    same = np.argmax(first, axis=1) == np.argmax(second, axis=1)
    return Similarity(
        float(same.mean()),
        centred_correlation(first, second),
        float(jensen_shannon(first, second).mean()),
    )


def stability(attentions: Sequence[NDArray], seed: int = 0) -> Stability:
    """Compares the attention of several runs on the same samples.

    Args:
      attentions: Attention of each run, [N, L].
      seed: Random seed of the permutation.

    Raises:
      ValueError: There are fewer than two runs, or their shapes differ.

    >>> attention = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> stability([attention, attention]).between.centred_correlation
    1.0
    """
    shapes = [attention.shape for attention in attentions]
    if len(shapes) < 2 or len(set(shapes)) > 1:
        raise ValueError(f"attentions have the shapes {shapes}, expected at least two of one shape")
    order = np.random.default_rng(seed).permutation(shapes[0][0])
    pairs = list(combinations(attentions, 2))
    return Stability(
        len(shapes),
        _mean([similarity(first, second) for first, second in pairs]),
        _mean([similarity(first, second[order]) for first, second in pairs]),
    )


def profile_overlap(profiles: Sequence[NDArray]) -> Overlap:
    """Compares the depth profiles of several runs.

    Args:
      profiles: Mean attention, or mean share, of each layer in each run, [L] each.

    Raises:
      ValueError: There are fewer than two profiles, or their shapes differ.

    >>> profile_overlap([np.array([1.0, 0.0]), np.array([1.0, 0.0])])
    Overlap(between=1.0, chance=0.5)
    """
    shapes = [np.shape(profile) for profile in profiles]
    if len(shapes) < 2 or len(set(shapes)) > 1:
        raise ValueError(f"profiles have the shapes {shapes}, expected at least two of one shape")
    pairs = list(combinations(profiles, 2))
    # A permutation brings every layer of one profile equally often beside every layer of the other.
    chance = [np.minimum.outer(first, second).sum() / len(first) for first, second in pairs]
    between = [np.minimum(first, second).sum() for first, second in pairs]
    return Overlap(float(np.mean(between)), float(np.mean(chance)))


def centred_correlation(first: NDArray, second: NDArray) -> float | None:
    """Computes the Pearson correlation over samples and layers after subtracting each layer's mean.

    Returns:
      Correlation from -1 to 1; None if one of the two is the same for all samples.

    >>> centred_correlation(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([[0.5, 0.5], [0.5, 0.5]]))
    """
    first, second = centred(first), centred(second)
    lengths = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.clip(np.sum(first * second) / lengths, -1, 1)) if lengths > 1e-12 else None


def centred(values: NDArray) -> NDArray:
    """Subtracts each layer's mean over the samples from values [N, L]; mere rounding error becomes 0.

    >>> centred(np.array([[1.0, 5.0], [3.0, 5.0]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    values = np.asarray(values, np.float64)
    mean = values.mean(axis=0, keepdims=True)
    # Inputs are float32, so differences below its rounding are no dependence on the sample.
    rounding = 1e-6 * np.maximum(np.abs(mean), 1e-30)
    difference = values - mean
    return np.where(np.abs(difference) <= rounding, 0.0, difference)


def jensen_shannon(first: NDArray, second: NDArray) -> NDArray:
    """Computes the Jensen-Shannon divergence over the last axis, in bits.

    ``(KL(p, m) + KL(q, m)) / 2`` with ``m = (p + q) / 2``.

    Reference: Lin 1991, Divergence measures based on the Shannon entropy.

    >>> jensen_shannon(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    array([1.])
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    middle = (first + second) / 2
    nats = (rel_entr(first, middle) + rel_entr(second, middle)).sum(axis=-1) / 2
    return np.maximum(nats, 0) / np.log(2)


def _mean(pairs: Sequence[Similarity]) -> Similarity:
    correlations = [pair.centred_correlation for pair in pairs if pair.centred_correlation is not None]
    return Similarity(
        float(np.mean([pair.same_top_layer for pair in pairs])),
        float(np.mean(correlations)) if correlations else None,
        float(np.mean([pair.divergence for pair in pairs])),
    )
