"""Kernels: similarities of examples that read all layers and are a sum of one part per layer."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.heads import EXACT
from laya_jax.typing import Array, Float

BLOCK = 1024
"""Number of rows and columns of a kernel matrix that are computed at once, for all layers."""

States = Sequence[Array | NDArray[np.float32]]


class Kernel(Protocol):
    """Similarity ``K(x, x') = sum_i K_i(x, x')`` of two examples, with one part per layer.

    Attributes:
      linear: True if every part is linear in the state of its layer and reads no other layer. In that case,
        weights replace the stored examples.
    """

    linear: ClassVar[bool]

    def parts(self, products: Sequence[Array], distances: Sequence[Array]) -> list[Array]:
        """Computes each layer's part of the kernel, elementwise.

        Args:
          products: Inner products ``<x_i, x'_i>`` of the states of each layer, L arrays of one shape.
          distances: Squared distances ``|x_i - x'_i|^2`` of the states of each layer, likewise.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Gated:
    """Inner products of layers, multiplied by a gate that reads all layers.

    ``K_i(x, x') = k(x, x') <x_i, x'_i> / L`` with ``k(x, x') = exp(-1/2 mean_j |x_j - x'_j|^2)``: a linear
    classifier per layer, whose weights depend on the whole input.

    >>> similarity = Gated().parts([jnp.array([1.0]), jnp.array([3.0])], [jnp.array([0.0])] * 2)
    >>> [part.tolist() for part in similarity]
    [[0.5], [1.5]]
    """

    linear: ClassVar[bool] = False

    def parts(self, products: Sequence[Array], distances: Sequence[Array]) -> list[Array]:
        """Computes each layer's part of the kernel."""
        number = len(products)
        gate = jnp.exp(-sum(distances) / (2 * number)) / number
        return [gate * product for product in products]


@dataclasses.dataclass(frozen=True)
class Additive:
    """One Gaussian kernel per layer: ``K_i(x, x') = exp(-1/2 |x_i - x'_i|^2) / L``.

    >>> [part.tolist() for part in Additive().parts([jnp.array([1.0])], [jnp.array([0.0])])]
    [[1.0]]
    """

    linear: ClassVar[bool] = False

    def parts(self, products: Sequence[Array], distances: Sequence[Array]) -> list[Array]:
        """Computes each layer's part of the kernel."""
        return [jnp.exp(-distance / 2) / len(products) for distance in distances]


@dataclasses.dataclass(frozen=True)
class Linear:
    """Inner products of layers, ``K_i(x, x') = <x_i, x'_i> / L``: ridge regression on all layers.

    >>> [part.tolist() for part in Linear().parts([jnp.array([4.0])] * 2, [jnp.array([9.0])] * 2)]
    [[2.0], [2.0]]
    """

    linear: ClassVar[bool] = True

    def parts(self, products: Sequence[Array], distances: Sequence[Array]) -> list[Array]:
        """Computes each layer's part of the kernel."""
        return [product / len(products) for product in products]


KERNELS: Mapping[str, Kernel] = {"gated": Gated(), "additive": Additive(), "linear": Linear()}
"""Kernels by name."""


def kernel_parts(kernel: str, left: States, right: States) -> list[Float[Array, "batch point"]]:
    """Computes each layer's part of the kernel between examples [B, d_i] and points [M, d_i].

    >>> states = [jnp.ones((2, 3)), jnp.ones((2, 1))]
    >>> [part.shape for part in kernel_parts("linear", states, states)]
    [(2, 2), (2, 2)]
    """
    products = [jnp.matmul(a, b.T, precision=EXACT) for a, b in zip(left, right, strict=True)]
    distances = [
        jnp.maximum(one[:, None] + other[None] - 2 * product, 0)
        for one, other, product in zip(squares(left), squares(right), products, strict=True)
    ]
    return KERNELS[kernel].parts(products, distances)


def squares(states: States) -> list[Float[Array, " batch"]]:
    """Computes the squared lengths of the states of each layer, L arrays [B].

    >>> squares([jnp.array([[3.0, 4.0]])])
    [Array([25.], dtype=float32)]
    """
    return [jnp.sum(jnp.square(state), axis=-1) for state in states]


def diagonal(kernel: str, states: States) -> NDArray[np.float64]:
    """Computes the kernel of every example with itself, [N].

    >>> diagonal("linear", [np.array([[3.0, 4.0]], np.float32)])
    array([25.])
    """
    own = squares(states)
    return np.asarray(sum(KERNELS[kernel].parts(own, [jnp.zeros_like(each) for each in own])), np.float64)


def kernel_matrix(kernel: str, left: States, right: States | None = None) -> NDArray[np.float64]:
    """Computes a kernel matrix block by block, in float32, and returns it in float64 on the host.

    Args:
      kernel: Name of the kernel.
      left: States of N examples, L arrays [N, d_i].
      right: States of M points, L arrays [M, d_i]; None means those of ``left``, which takes half the time.

    Returns:
      Kernel matrix [N, M].

    >>> kernel_matrix("linear", [np.array([[1.0], [2.0]], np.float32)])
    array([[1., 2.],
           [2., 4.]])
    """
    points = left if right is None else right
    matrix = np.empty((len(left[0]), len(points[0])))
    for top in range(0, len(left[0]), BLOCK):
        above = [state[top : top + BLOCK] for state in left]
        for start in range(0 if right is not None else top, len(points[0]), BLOCK):
            beside = [state[start : start + BLOCK] for state in points]
            block = np.asarray(_total(kernel, above, beside))
            matrix[top : top + BLOCK, start : start + BLOCK] = block
            if right is None:
                matrix[start : start + BLOCK, top : top + BLOCK] = block.T
    return matrix


@partial(jax.jit, static_argnums=0)
def _total(kernel: str, left: States, right: States) -> Array:
    parts = kernel_parts(kernel, left, right)
    return sum(parts[1:], parts[0])
