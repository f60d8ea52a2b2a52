"""Time of the kernel head: random hidden states of the paintings' size, 3,850 x 12 x 768, and 11 classes.

    python -m experiments.benchmarks.kernel_head

Takes three minutes on two cores.
``OPENBLAS_NUM_THREADS=1`` helps on a machine that others use, too: OpenBLAS's threads wait for one another.
"""

from functools import partial

import numpy as np
from scipy.linalg import eigh

from experiments.benchmarks.timing import compare, report
from laya_jax.kernels import KernelLayaHead, fit_kernel_head, predict_in_blocks
from laya_jax.kernels.ridge import solve_kernel

EXAMPLES, LAYERS, WIDTH, CLASSES = 3850, 12, 768, 11
PREDICTED = 1000
KERNELS = ("linear", "gated", "additive")


def main() -> None:
    """Times all alternatives and writes the results."""
    generator = np.random.default_rng(0)
    states = generator.normal(size=(LAYERS, EXAMPLES, WIDTH)).astype(np.float32)
    labels = generator.integers(0, CLASSES, EXAMPLES)
    validation = states[:, :825], labels[:825]

    def fit(kernel: str, number: int, landmarks: int | None = None) -> KernelLayaHead:
        penalties = np.geomspace(0.03, 3, number).tolist()
        return fit_kernel_head(
            states, labels, kernel=kernel, penalties=penalties, validation=validation, landmarks=landmarks
        ).head

    matrix = np.float64(states[0] @ states[0].T) / WIDTH + np.eye(EXAMPLES)
    values = np.eye(CLASSES)[labels]
    heads = {kernel: fit(kernel, 1) for kernel in KERNELS}
    heads["gated, 1,000 landmarks"] = fit("gated", 1, landmarks=1000)
    report(
        "kernel_head",
        {
            "fit, 3,850 x 12 x 768": compare(
                {
                    **{f"{kernel}, 1 penalty": partial(fit, kernel, 1) for kernel in KERNELS},
                    "gated, 5 penalties": partial(fit, "gated", 5),
                },
                5,
            ),
            "one kernel matrix of 3,850 examples": compare(
                {
                    "one penalty by Cholesky": partial(solve_kernel, matrix, values, 0.3),
                    "the same with leave-one-out": partial(solve_kernel, matrix, values, 0.3, held_out=True),
                    "all penalties by eigenvalues": partial(eigh, matrix, check_finite=False),
                },
                3,
            ),
            "prediction of 1,000 examples from their hidden states": compare(
                {
                    name: partial(predict_in_blocks, head, states[:, :PREDICTED])
                    for name, head in heads.items()
                },
                7,
            ),
        },
    )


if __name__ == "__main__":
    main()
