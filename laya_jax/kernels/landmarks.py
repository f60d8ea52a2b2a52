"""Landmarks: a few examples, chosen by pivoted Cholesky, that approximate the kernel of all examples."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from laya_jax.kernels.similarity import States, diagonal, kernel_matrix

CANDIDATES = 64
"""Number of examples that are considered at once."""

NEXT_BEST = 0.5
"""Fraction of the largest residual that an example needs to become a landmark in the same pass."""

NEGLIGIBLE = 1e-5
"""Residual, as a fraction of the kernel's mean diagonal, below which no more landmarks are sought."""


class Landmarks(NamedTuple):
    """Landmarks of a set of examples, and features whose inner products approximate the kernel.

    Attributes:
      rows: Indices of the landmarks, in the order in which they were chosen, [M].
      features: Features [N, M] with ``features @ features.T`` close to the kernel matrix; the first m columns
        are the features of the first m landmarks.
      residual: Fraction of the kernel's trace that is lost, from 0 to 1.
    """

    rows: NDArray[np.intp]
    features: NDArray[np.float64]
    residual: float

    @property
    def factor(self) -> NDArray[np.float64]:
        """Cholesky factor of the landmarks' kernel matrix, lower triangular, [M, M]."""
        return self.features[self.rows]


def choose_landmarks(kernel: str, states: States, number: int) -> Landmarks:
    """Chooses landmarks by pivoted Cholesky: each is among the examples least explained by earlier landmarks.

    Several are chosen in one pass over the examples. Nothing is random; the order of the examples only breaks
    ties.

    Args:
      kernel: Name of the kernel.
      states: Standardised states of N examples, L arrays [N, d_i].
      number: Maximum number of landmarks; there are fewer if they explain all examples.

    Reference: Harbrecht, Peters and Schneider 2012, On the low-rank approximation by the pivoted Cholesky
    decomposition.

    >>> states = [np.array([[1.0], [3.0], [2.0]], np.float32)]
    >>> landmarks = choose_landmarks("linear", states, 2)
    >>> landmarks.rows, landmarks.residual
    (array([1]), 0.0)
    """
    own = diagonal(kernel, states)
    residual, smallest = own.copy(), NEGLIGIBLE * own.mean()
    features = np.zeros((len(own), min(number, len(own))))
    rows: list[int] = []
    while len(rows) < features.shape[1] and residual.max() > smallest:
        known = features[:, : len(rows)]
        candidates = np.argsort(-residual, kind="stable")[:CANDIDATES]
        columns = kernel_matrix(kernel, states, [state[candidates] for state in states])
        columns -= known @ known[candidates].T
        chosen = _pivots(columns[candidates], features.shape[1] - len(rows), smallest)
        factor = np.linalg.cholesky(columns[candidates[chosen]][:, chosen])
        new = solve_triangular(factor, columns[:, chosen].T, lower=True).T
        new[candidates[chosen]] = np.tril(factor)
        new[rows] = 0  # up to rounding, earlier landmarks are already explained
        features[:, len(rows) : len(rows) + len(chosen)] = new
        rows += candidates[chosen].tolist()
        residual = np.maximum(residual - np.sum(new**2, axis=1), 0)
        residual[rows] = 0
    lost = float(residual.sum() / own.sum())
    return Landmarks(np.array(rows, np.intp), features[:, : len(rows)], lost)


def _pivots(matrix: NDArray, most: int, smallest: float) -> list[int]:
    """Chooses pivots of a residual kernel matrix [C, C] until the next is much smaller than the first."""
    matrix = matrix.copy()
    pivots: list[int] = []
    first = matrix.diagonal().max()
    while len(pivots) < min(most, len(matrix)):
        pivot = int(np.argmax(matrix.diagonal()))
        if pivots and matrix[pivot, pivot] < max(NEXT_BEST * first, smallest):
            break
        pivots.append(pivot)
        column = matrix[:, pivot] / np.sqrt(matrix[pivot, pivot])
        matrix -= np.outer(column, column)
    return pivots
