"""Ridge regression with a free bias in closed form, in float64 on the host.

``solve_kernel`` and ``Features`` minimise ``|Y - b - f|^2 + penalty * scale * |f|^2``, where the norm of f is
that of the kernel, and the scale is the mean square of the centred features, which makes penalties comparable
across kernels. The objective is strictly convex in ``f``, and therefore has a unique minimum.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lapack, solve_triangular

ROWS = 4096
"""Number of rows that are processed at once."""


class Solution(NamedTuple):
    """Minimum of a ridge regression.

    Attributes:
      weights: Weights of the kernel's columns or of the features, [M, K].
      bias: Bias, [K].
      held_out: Leave-one-out predictions, [N, K]; None if they were not requested.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    held_out: NDArray[np.float64] | None = None


def solve_kernel(
    matrix: NDArray[np.float64], targets: NDArray[np.float64], penalty: float, *, held_out: bool = False
) -> Solution:
    """Solves for one weight per example, ``f(x) = b + sum_n K(x, x_n) a_n``, by a Cholesky decomposition.

    ``(K + penalty * scale * I) a + b = Y`` and ``sum_n a_n = 0``. Without example n, the prediction for it is
    ``y_n - a_n / G_nn``, where G is the inverse of the system restricted to weights of sum 0.

    Args:
      matrix: Kernel matrix [N, N], positive semidefinite.
      targets: Targets [N, K].
      penalty: Penalty, greater than 0.
      held_out: True to compute leave-one-out predictions, which takes three times as long.

    Raises:
      ValueError: The penalty is too small for the rounding error of the kernel.

    >>> solution = solve_kernel(np.eye(2), np.array([[1.0], [-1.0]]), 1.0)
    >>> solution.weights.round(3).ravel(), solution.bias.round(3)
    (array([ 0.667, -0.667]), array([0.]))
    """
    number = len(matrix)
    scale = (np.trace(matrix) - matrix.sum() / number) / number
    system = matrix.copy()
    system.flat[:: number + 1] += penalty * scale
    factor = _decompose(system.T, penalty)  # symmetric; transposed to LAPACK's memory order
    solved = cho_solve(factor, np.column_stack([targets, np.ones(number)]), check_finite=False)
    weights, ones = solved[:, :-1], solved[:, -1:]
    bias = weights.sum(axis=0) / ones.sum()
    weights = weights - ones * bias
    if not held_out:
        return Solution(weights, bias)
    inverse = lapack.dpotri(factor[0], lower=1, overwrite_c=1)[0]
    own = np.diag(inverse)[:, None] - ones**2 / ones.sum()
    return Solution(weights, bias, targets - weights / own)


class Features(NamedTuple):
    """Features of examples and their second moments, from which the solution for any penalty is computed.

    Attributes:
      features: Features [N, M].
      targets: Targets [N, K].
      mean: Mean of the features, [M].
      moments: Second moments of the centred features, summed over examples, [M, M].
      products: Products of the centred features and the targets, summed over examples, [M, K].

    >>> Features.of(np.array([[1.0], [-1.0]]), np.array([[1.0], [-1.0]])).solve(1.0).weights
    array([[0.66666667]])
    """

    features: NDArray
    targets: NDArray[np.float64]
    mean: NDArray[np.float64]
    moments: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray, targets: NDArray[np.float64]) -> "Features":
        """Computes the moments, a block of rows at a time."""
        mean = features.mean(axis=0, dtype=np.float64)
        width = features.shape[1]
        moments, products = np.zeros((width, width)), np.zeros((width, targets.shape[1]))
        for row in range(0, len(features), ROWS):
            block = features[row : row + ROWS] - mean
            moments += block.T @ block
            products += block.T @ targets[row : row + ROWS]
        return cls(features, targets, mean, moments, products)

    def solve(self, penalty: float, *, first: int | None = None, held_out: bool = False) -> Solution:
        """Solves for one penalty.

        Args:
          penalty: Penalty, greater than 0.
          first: Number of leading features to use; None means all.
          held_out: True to compute leave-one-out predictions.
        """
        scale = np.trace(self.moments) / len(self.features)
        system = self.moments[:first, :first].copy()
        system.flat[:: len(system) + 1] += penalty * scale
        factor = _decompose(system.T, penalty)
        weights = cho_solve(factor, self.products[:first], check_finite=False)
        bias = self.targets.mean(axis=0) - self.mean[:first] @ weights
        solution = Solution(weights, bias)
        return solution._replace(held_out=self._held_out(solution, factor[0])) if held_out else solution

    def _held_out(self, solution: Solution, factor: NDArray) -> NDArray[np.float64]:
        """Computes leave-one-out predictions, ``y - (y - f) / (1 - leverage)``."""
        number, parts = len(self.features), []
        for row in range(0, number, ROWS):
            features, targets = self.features[row : row + ROWS], self.targets[row : row + ROWS]
            rotated = solve_triangular(factor, (features - self.mean).T, lower=True, check_finite=False)
            leverage = 1 / number + np.sum(rotated**2, axis=0)[:, None]
            residual = targets - features @ solution.weights - solution.bias
            parts.append(targets - residual / (1 - leverage))
        return np.concatenate(parts)


def _decompose(system: NDArray[np.float64], penalty: float) -> tuple[NDArray, bool]:
    try:
        return cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:
        raise ValueError(
            f"penalties include {penalty:g}, which is too small for the precision of the kernel, expected "
            "larger penalties"
        ) from None
