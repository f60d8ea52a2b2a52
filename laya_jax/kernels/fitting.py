"""Fitting of a kernel head in closed form, with its penalty and temperature chosen on held-out examples."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.checks import check_choice, check_count, check_number
from laya_jax.kernels.bases import Basis, LandmarkExamples, basis_for
from laya_jax.kernels.head import KernelLayaHead
from laya_jax.kernels.ridge import Solution
from laya_jax.kernels.similarity import KERNELS
from laya_jax.kernels.standardizing import Standardization, on_host, standardization_of, standardized
from laya_jax.kernels.targets import Classes, Judgement, Targets, targets_of
from laya_jax.typing import ArrayLike, HiddenStates

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Penalties tried by default, relative to the mean square of the centred features."""

MOST_EXACT = 20_000
"""Number of examples above which a nonlinear kernel is solved on landmarks by default."""

LANDMARKS = 4_000
"""Default number of landmarks."""


class Trial(NamedTuple):
    """Penalty that was tried, and how well its solution predicts the held-out examples.

    Attributes:
      penalty: Penalty.
      loss: Mean log loss of calibrated probabilities, in nats; for regression, the mean squared error.
      score: Accuracy, averaged over labels; for regression, the fraction of variance explained.
      temperature: Temperature that calibrates the solution; 1 for regression.
    """

    penalty: float
    loss: float
    score: float
    temperature: float


class Approximation(NamedTuple):
    """Error of the approximation by landmarks.

    Attributes:
      landmarks: Number of landmarks.
      residual: Fraction of the kernel's trace that is lost, from 0 to 1.
      change: Root mean square of the change in held-out outputs when only the first half of the landmarks is
        used, as a fraction of their standard deviation. The error with all landmarks is usually smaller.
    """

    landmarks: int
    residual: float
    change: float


class KernelFit(NamedTuple):
    """Fitted kernel head, and how it was chosen.

    Attributes:
      head: Fitted head with the best penalty; its logits are calibrated.
      best: Trial of the best penalty, which is the one with the lowest loss.
      trials: All trials, in the order of the penalties.
      held_out: Examples used to choose the penalty and temperature: "validation" or "leave-one-out".
      approximation: Error of the approximation by landmarks; None if the solution is exact.
    """

    head: KernelLayaHead
    best: Trial
    trials: tuple[Trial, ...]
    held_out: str
    approximation: Approximation | None


def fit_kernel_head(
    hidden_states: HiddenStates,
    targets: ArrayLike,
    *,
    kernel: str = "gated",
    penalties: Sequence[float] = PENALTIES,
    validation: tuple[object, ArrayLike] | None = None,
    landmarks: int | None = None,
    num_classes: int | None = None,
) -> KernelFit:
    """Fits a kernel head in closed form: ridge regression in the kernel's space, with a free bias.

    The contributions ``c_i`` of the layers minimise ``sum_n |y_n - b - sum_i c_i(x_n)|^2 + penalty * scale *
    sum_i |c_i|^2``, where the norms are those of the layers' kernels, and the scale makes penalties
    comparable across kernels. The loss is strictly convex, so its minimum is unique; nothing is random.
    Equations are always solved in float64 on the host; kernels are computed in float32 on the device.

    Args:
      hidden_states: Hidden states of N training examples: ordered sequence of L arrays [N, d_i], or one array
        [L, N, D].
      targets: Integers [N] for classes, booleans [N, K] for several labels per example, or floating point [N]
        or [N, K] for regression.
      kernel: Name of the kernel: "gated" for a linear classifier per layer, whose weights depend on all
        layers, "additive" for a Gaussian kernel per layer, or "linear" for ridge regression on all layers.
      penalties: Penalties to choose from, each greater than 0.
      validation: Hidden states and targets of validation examples, used to choose the penalty and the
        temperature. None uses leave-one-out predictions of the training examples, in closed form.
      landmarks: Maximum number of training examples that the head stores and is solved on, chosen by pivoted
        Cholesky. None stores all, or 4,000 if there are more than 20,000. Must be None for "linear", which
        stores none.
      num_classes: Number of classes; None means one more than the largest label.

    Returns:
      A ``KernelFit``, with the head and a table of all penalties tried.

    Raises:
      TypeError: Hidden states, targets or penalties have the wrong type.
      ValueError: An argument has the wrong shape or is out of range; the message names it.

    Reference: Saunders, Gammerman and Vovk 1998, Ridge regression learning algorithm in dual variables.

    >>> states = jax.random.normal(jax.random.key(0), (2, 6, 3))
    >>> fit = fit_kernel_head(states, [0, 0, 0, 1, 1, 1], penalties=[0.1, 1.0])
    >>> fit.head(states).contributions.shape, fit.head.stored_examples, fit.held_out
    ((6, 2, 2), 6, 'leave-one-out')
    """
    check_choice("kernel", kernel, tuple(KERNELS))
    penalties = _check_penalties(penalties)
    states = on_host("hidden_states", hidden_states)
    known = targets_of("targets", targets, len(states[0]), num_classes)
    landmarks = _check_landmarks(kernel, landmarks, len(states[0]))
    standardize = standardization_of(states)
    judge, seen = known.judge, None
    if validation is not None:
        others, held_out = _check_validation(validation, known)
        judge, seen = held_out.judge, standardized(standardize, others)
    basis = basis_for(kernel, standardized(standardize, states), known.values, landmarks)
    features = None if seen is None else basis.features(seen)
    trials, best, chosen = _tried(basis, penalties, features, judge)
    return KernelFit(
        _head(kernel, standardize, basis, chosen, best.temperature),
        best,
        trials,
        "leave-one-out" if validation is None else "validation",
        _approximation(basis, best.penalty, features) if isinstance(basis, LandmarkExamples) else None,
    )


def _tried(
    basis: Basis,
    penalties: Sequence[float],
    features: NDArray[np.float64] | None,
    judge: Callable[[NDArray], Judgement],
) -> tuple[tuple[Trial, ...], Trial, Solution]:
    """Tries all penalties; returns the trials, the one with the lowest loss, and its solution."""
    found = []
    for penalty in penalties:
        solution = basis.solve(penalty, held_out=features is None)
        outputs = solution.held_out if features is None else features @ solution.weights + solution.bias
        found.append((Trial(penalty, *judge(cast(NDArray, outputs))), solution._replace(held_out=None)))
    # The largest of equally good penalties.
    best, chosen = min(reversed(found), key=lambda pair: pair[0].loss)
    return tuple(trial for trial, _ in found), best, chosen


def _head(
    kernel: str, standardize: Standardization, basis: Basis, solution: Solution, temperature: float
) -> KernelLayaHead:
    points, coefficients = basis.points(solution.weights)
    return KernelLayaHead(
        standardize,
        tuple(jnp.asarray(point, jnp.float32) for point in points),
        jnp.asarray(coefficients / temperature, jnp.float32),
        jnp.asarray(solution.bias / temperature, jnp.float32),
        kernel,
    )


def _approximation(
    basis: LandmarkExamples, penalty: float, features: NDArray[np.float64] | None
) -> Approximation:
    """Measures the effect of the second half of the landmarks; without features, on the training examples."""
    regression = basis.regression
    features = regression.features if features is None else features
    number = features.shape[1]
    whole, half = (regression.solve(penalty, first=first) for first in (number, max(number // 2, 1)))
    outputs = features @ whole.weights + whole.bias
    change = features[:, : len(half.weights)] @ half.weights + half.bias - outputs
    return Approximation(number, basis.residual, float(np.sqrt(np.mean(change**2)) / np.std(outputs)))


def _check_penalties(penalties: object) -> tuple[float, ...]:
    if not isinstance(penalties, Sequence) or isinstance(penalties, str):
        raise TypeError(f"penalties is {penalties!r}, expected a sequence of numbers")
    if not penalties:
        raise ValueError("penalties is empty, expected at least one")
    for index, penalty in enumerate(penalties):
        check_number(f"penalties[{index}]", penalty, lambda each: each > 0, "greater than 0")
    return tuple(map(float, penalties))


def _check_landmarks(kernel: str, landmarks: int | None, number: int) -> int | None:
    if landmarks is None:
        return LANDMARKS if number > MOST_EXACT and not KERNELS[kernel].linear else None
    check_count("landmarks", landmarks)
    if KERNELS[kernel].linear:
        raise ValueError(f"landmarks is {landmarks} for kernel {kernel!r}, which stores none, expected None")
    return landmarks


def _check_validation(validation: object, known: Targets) -> tuple[tuple[NDArray, ...], Targets]:
    if not isinstance(validation, tuple) or len(validation) != 2:
        raise TypeError(
            f"validation is a {type(validation).__name__}, expected a pair of hidden states and targets"
        )
    states = on_host("validation", validation[0])
    integers = np.asarray(validation[1]).dtype.kind in "iu"
    classes = known.number if integers and isinstance(known, Classes) else None
    targets = targets_of("validation targets", validation[1], len(states[0]), classes)
    expected = type(known).__name__, known.values.shape[1]
    if (type(targets).__name__, targets.values.shape[1]) != expected:
        raise ValueError(
            f"validation targets have dtype {np.asarray(validation[1]).dtype} and {targets.values.shape[1]} "
            f"columns, expected targets like those of training, with {expected[1]} columns"
        )
    return states, targets
