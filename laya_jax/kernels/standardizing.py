"""Standardisation of hidden states by the moments of training examples."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.heads import check_hidden_states, layer_normalize
from laya_jax.typing import Array, Float, HiddenStates

ROWS = 4096
"""Number of examples that are standardised at once."""

CONSTANT = 1e-4
"""Standard deviation below which a feature, of mean square 1 over its layer, counts as constant."""


@partial(jax.tree_util.register_dataclass, data_fields=["means", "scales"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class Standardization:
    """Layer normalisation, then every feature shifted to mean 0 and divided by its standard deviation.

    ``x_i = scale_i (LayerNorm(h_i) - mean_i)``, where the scale includes ``1 / sqrt(number of features)``, so
    that the mean over training examples of ``|x_i|^2`` is 1. Constant features become 0.

    Attributes:
      means: Mean of every feature over training examples, L arrays [d_i].
      scales: Factor of every feature, L arrays [d_i].
    """

    means: tuple[Array, ...]
    scales: tuple[Array, ...]

    def __call__(self, hidden_states: HiddenStates) -> tuple[Float[Array, "batch _"], ...]:
        """Standardises hidden states, L arrays [B, d_i].

        Raises:
          ValueError: The number or the widths of the hidden states differ from those of training.
        """
        widths = tuple(state.shape[-1] for state in hidden_states)
        expected = tuple(mean.shape[-1] for mean in self.means)
        if widths != expected:
            raise ValueError(f"hidden_states have widths {widths}, expected {expected}")
        return tuple(
            (jnp.asarray(layer_normalize([state.astype(jnp.float32)])[0]) - mean[None]) * scale[None]
            for state, mean, scale in zip(hidden_states, self.means, self.scales, strict=True)
        )


def standardization_of(hidden_states: tuple[NDArray, ...]) -> Standardization:
    """Computes the moments of training examples, L arrays [N, d_i], in float64.

    Raises:
      ValueError: All layers are constant.

    >>> standardize = standardization_of((np.array([[1.0, 3.0], [3.0, 1.0]], np.float32),))
    >>> standardize((jnp.array([[1.0, 3.0]]),))[0].round(3)
    Array([[-0.707,  0.707]], dtype=float32)
    """
    means, scales = [], []
    for state in hidden_states:
        mean, deviation = _moments(state)
        varies = deviation > CONSTANT
        scale = np.where(varies, 1 / np.where(varies, deviation, 1) / np.sqrt(max(varies.sum(), 1)), 0)
        means.append(jnp.asarray(mean, jnp.float32))
        scales.append(jnp.asarray(scale, jnp.float32))
    if not any(scale.any() for scale in scales):
        raise ValueError(
            "hidden_states are the same for all examples after layer normalisation, expected some that vary"
        )
    return Standardization(tuple(means), tuple(scales))


def standardized(standardize: Standardization, hidden_states: tuple[NDArray, ...]) -> tuple[NDArray, ...]:
    """Standardises many examples, a few thousand at a time, and returns them on the host."""
    number = len(hidden_states[0])
    blocks = [
        jax.device_get(_standardize(standardize, tuple(state[row : row + ROWS] for state in hidden_states)))
        for row in range(0, number, ROWS)
    ]
    return tuple(np.concatenate(layer) for layer in zip(*blocks, strict=True))


def on_host(name: str, hidden_states: HiddenStates) -> tuple[NDArray, ...]:
    """Checks hidden states and returns them as NumPy arrays, L of shape [N, d_i].

    >>> on_host("hidden_states", jnp.ones((3, 2, 4)))[0].shape
    (2, 4)
    """
    states = check_hidden_states(hidden_states)
    if not states[0].shape[0]:
        raise ValueError(f"{name} has no examples, expected at least one")
    arrays = tuple(np.asarray(state) for state in states)
    for index, array in enumerate(arrays):
        if not np.isfinite(array.astype(np.float32)).all():
            raise ValueError(f"{name}[{index}] has values that are not finite")
    return arrays


@jax.jit
def _standardize(standardize: Standardization, hidden_states: tuple[Array, ...]) -> tuple[Array, ...]:
    return standardize(hidden_states)


@jax.jit
def _normalize(state: Array) -> Array:
    return jnp.asarray(layer_normalize([state.astype(jnp.float32)])[0])


def _moments(state: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Computes the mean and standard deviation of every feature after layer normalisation."""
    mean, square = np.zeros(state.shape[1]), np.zeros(state.shape[1])
    blocks = [state[row : row + ROWS] for row in range(0, len(state), ROWS)]
    for block in blocks:
        mean += np.sum(np.asarray(_normalize(block)), axis=0, dtype=np.float64) / len(state)
    for block in blocks:
        square += np.sum((np.asarray(_normalize(block)) - mean) ** 2, axis=0) / len(state)
    return mean, np.sqrt(square)
