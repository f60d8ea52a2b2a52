"""Time of the two implementations of the depthwise convolution, standalone and inside ``lax.scan``.

    python -m experiments.benchmarks.depthwise_convolution

Each measurement is of the gradient of one depthwise convolution: standalone, of 128 images of 32 x 32 x 64;
in a scan of two steps, of 8 images of 16 x 16 x 64, because larger inputs would take minutes with XLA's
grouped convolution on a CPU. The first row is the library's choice on the current platform. Takes about two
minutes on two cores.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from experiments.benchmarks.timing import compare, report
from laya_jax.backbones import depthwise_convolution, grouped_convolution, shifted_multiply_adds
from laya_jax.typing import Array

FORMS = {
    "chosen by the library": depthwise_convolution,
    "nine shifted multiply-adds": shifted_multiply_adds,
    "grouped convolution": grouped_convolution,
}


def gradient(convolution: Callable[..., Array], images: Array, kernel: Array) -> Array:
    """Computes the gradient of a convolution's sum of squares with respect to its input and its kernel."""
    loss = lambda images, kernel: jnp.sum(jnp.square(convolution(images, kernel)))  # noqa: E731
    return jax.grad(loss, argnums=(0, 1))(images, kernel)


def scanned(convolution: Callable[..., Array], images: Array, kernel: Array) -> Array:
    """Takes two steps of gradient descent on the kernel in one scan."""

    def step(kernel: Array, _: None) -> tuple[Array, None]:
        return kernel - 1e-6 * gradient(convolution, images, kernel)[1], None

    return jax.lax.scan(step, kernel, length=2)[0]


def main() -> None:
    """Times all alternatives and writes the results."""
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 1, 64))
    tables = {}
    for title, program, shape in (
        ("by itself", gradient, (128, 32, 32, 64)),
        ("in a scan", scanned, (8, 16, 16, 64)),
    ):
        images = jax.random.normal(jax.random.key(0), shape)
        alternatives = {
            name: partial(jax.jit(partial(program, form)), images, kernel) for name, form in FORMS.items()
        }
        tables[title] = compare(alternatives, rounds=7)
    report("depthwise_convolution", tables)


if __name__ == "__main__":
    main()
