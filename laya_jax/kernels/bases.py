"""Bases in which a kernel head is solved: all training examples, landmarks, or the features of the layers."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from laya_jax.kernels.landmarks import choose_landmarks
from laya_jax.kernels.ridge import Features, Solution, solve_kernel
from laya_jax.kernels.similarity import KERNELS, States, kernel_matrix

Points = tuple[tuple[NDArray, ...], NDArray[np.float64]]
"""Points of the head, L arrays [M, d_i], and their coefficients [M, K]."""


class Basis(Protocol):
    """Basis of functions, and ridge regression in it."""

    def solve(self, penalty: float, *, held_out: bool = False) -> Solution:
        """Solves for one penalty."""
        ...

    def features(self, states: States) -> NDArray[np.float64]:
        """Computes the features of standardised states that the weights of a solution multiply, [N, M]."""
        ...

    def points(self, weights: NDArray[np.float64]) -> Points:
        """Returns the points of the head and their coefficients for the weights of a solution."""
        ...


class AllExamples:
    """One function per training example: exact, but needs two kernel matrices in memory, 16 N^2 bytes."""

    def __init__(self, kernel: str, states: tuple[NDArray, ...], targets: NDArray[np.float64]) -> None:
        self._kernel, self._states, self._targets = kernel, states, targets
        self._matrix = kernel_matrix(kernel, states)

    def solve(self, penalty: float, *, held_out: bool = False) -> Solution:
        """Solves for one penalty."""
        return solve_kernel(self._matrix, self._targets, penalty, held_out=held_out)

    def features(self, states: States) -> NDArray[np.float64]:
        """Computes the kernel between states and training examples."""
        return kernel_matrix(self._kernel, states, self._states)

    def points(self, weights: NDArray[np.float64]) -> Points:
        """Returns the training examples or, for a linear kernel, the layer weights that replace them."""
        if not KERNELS[self._kernel].linear:
            return self._states, weights
        return tuple(weights.T @ state for state in self._states), np.eye(weights.shape[1])


class LandmarkExamples:
    """One function per landmark: an approximation in bounded memory.

    Attributes:
      residual: Fraction of the kernel's trace that the landmarks lose.
      regression: Ridge regression on the landmarks' features.
    """

    def __init__(
        self, kernel: str, states: tuple[NDArray, ...], targets: NDArray[np.float64], number: int
    ) -> None:
        chosen = choose_landmarks(kernel, states, number)
        self._kernel, self._factor = kernel, chosen.factor
        self._states = tuple(state[chosen.rows] for state in states)
        self.residual = chosen.residual
        self.regression = Features.of(chosen.features, targets)

    def solve(self, penalty: float, *, held_out: bool = False) -> Solution:
        """Solves for one penalty."""
        return self.regression.solve(penalty, held_out=held_out)

    def features(self, states: States) -> NDArray[np.float64]:
        """Computes the features whose inner products approximate the kernel."""
        matrix = kernel_matrix(self._kernel, states, self._states)
        return solve_triangular(self._factor, matrix.T, lower=True, overwrite_b=True).T

    def points(self, weights: NDArray[np.float64]) -> Points:
        """Returns the landmarks and their coefficients."""
        return self._states, solve_triangular(self._factor, weights, lower=True, trans="T")


class LayerStates:
    """One function per feature of a layer: exact for the linear kernel, and cheap for many examples."""

    def __init__(self, states: tuple[NDArray, ...], targets: NDArray[np.float64]) -> None:
        self._ends = np.cumsum([state.shape[1] for state in states])[:-1]
        self._regression = Features.of(self.features(states), targets)

    def solve(self, penalty: float, *, held_out: bool = False) -> Solution:
        """Solves for one penalty."""
        return self._regression.solve(penalty, held_out=held_out)

    def features(self, states: States) -> NDArray:
        """Joins the layers; the inner product of the result is the linear kernel."""
        return np.concatenate(states, axis=1) / np.float32(np.sqrt(len(states)))

    def points(self, weights: NDArray[np.float64]) -> Points:
        """Returns the weights of the layers, one point per output."""
        layers = np.split(weights.T, self._ends, axis=1)
        scale = np.sqrt(len(layers))
        return tuple(layer * scale for layer in layers), np.eye(weights.shape[1])


def basis_for(
    kernel: str, states: tuple[NDArray, ...], targets: NDArray[np.float64], landmarks: int | None
) -> Basis:
    """Chooses the cheapest exact basis, or landmarks if their number is given.

    >>> states = (np.ones((5, 2), np.float32),)
    >>> type(basis_for("linear", states, np.ones((5, 1)), None)).__name__
    'LayerStates'
    """
    if landmarks is not None:
        return LandmarkExamples(kernel, states, targets, landmarks)
    if KERNELS[kernel].linear and sum(state.shape[1] for state in states) < len(targets):
        return LayerStates(states, targets)
    return AllExamples(kernel, states, targets)
