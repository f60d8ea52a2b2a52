"""The paper's three training problems on random data, and the pipe by which their rivals are driven."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.training import EXPERIMENTS

BATCH = 128
EXAMPLES = 20 * BATCH
VOCABULARY = 20_000


class Problem(NamedTuple):
    """What is trained, the same by everybody.

    Attributes:
      name: of the backbone.
      experiment: whose config it is.
      shape: of one input.
      largest: inputs are whole numbers below it.
      dtype: of the inputs.
      classes: classes.
      widths: of the backbone's layers.
      embedding_dim: width of the tokens' embedding.
      dim: width that all layers are brought to.
      scorer_width: hidden width of the scorer.
      temperature: of the attention.
      psi: "identity" or "mlp".
      steps: that are timed at once.
    """

    name: str
    experiment: str
    shape: tuple[int, ...]
    largest: int
    dtype: str
    classes: int
    widths: tuple[int, ...]
    embedding_dim: int
    dim: int
    scorer_width: int
    temperature: float
    psi: str
    steps: int

    @property
    def inputs(self) -> NDArray:
        """Random inputs."""
        shape = (EXAMPLES, *self.shape)
        return np.random.default_rng(0).integers(0, self.largest, shape).astype(self.dtype)

    @property
    def labels(self) -> NDArray[np.int32]:
        """Random labels."""
        return np.random.default_rng(1).integers(0, self.classes, EXAMPLES).astype(np.int32)

    @property
    def order(self) -> NDArray[np.int32]:
        """Which examples are in which batch, [steps, batch]."""
        return np.random.default_rng(2).integers(0, EXAMPLES, (self.steps, BATCH)).astype(np.int32)


def _problem(
    name: str, experiment: str, shape: tuple[int, ...], largest: int, dtype: str, classes: int, steps: int
) -> Problem:
    config = EXPERIMENTS[experiment]
    backbone, head = config.backbone, config.head
    assert head.scorer_width is not None
    return Problem(
        name,
        experiment,
        shape,
        largest,
        dtype,
        classes,
        backbone.widths,
        backbone.embedding_dim,
        head.dim,
        head.scorer_width,
        head.temperature,
        head.psi,
        steps,
    )


PROBLEMS = {
    problem.name: problem
    for problem in (
        _problem("mlp", "fashion-mnist", (28, 28, 1), 256, "uint8", 10, steps=400),
        _problem("separable_cnn", "cifar10", (32, 32, 3), 256, "uint8", 10, steps=20),
        _problem("bilstm", "imdb", (256,), VOCABULARY, "int32", 2, steps=20),
    )
}


def serve(ways: Mapping[str, Callable[[], Callable[[], None]]]) -> None:
    """In a rival's process: times the steps in the way that the arguments name, whenever a line comes in."""
    run = ways[sys.argv[2]]()
    for _ in range(2):
        run()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(time.perf_counter() - start, flush=True)
