"""The paper's three training problems on random data, and the timing loop of a rival's process."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.training import EXPERIMENTS, BackboneConfig, HeadConfig

BATCH = 128
EXAMPLES = 20 * BATCH
VOCABULARY = 20_000


class Problem(NamedTuple):
    """Training problem, the same for all libraries.

    Attributes:
      name: Kind of the backbone.
      experiment: Name of the experiment whose config is used.
      shape: Shape of one input.
      largest: Exclusive upper bound of the integer inputs.
      dtype: Data type of the inputs.
      classes: Number of classes.
      steps: Number of training steps timed together.
    """

    name: str
    experiment: str
    shape: tuple[int, ...]
    largest: int
    dtype: str
    classes: int
    steps: int

    @property
    def backbone(self) -> BackboneConfig:
        """Kind and sizes of the backbone."""
        return EXPERIMENTS[self.experiment].backbone

    @property
    def head(self) -> HeadConfig:
        """Settings of the LAYA head."""
        return EXPERIMENTS[self.experiment].head

    @property
    def inputs(self) -> NDArray:
        """Random inputs, [examples, *shape]."""
        shape = (EXAMPLES, *self.shape)
        return np.random.default_rng(0).integers(0, self.largest, shape).astype(self.dtype)

    @property
    def labels(self) -> NDArray[np.int32]:
        """Random labels, [examples]."""
        return np.random.default_rng(1).integers(0, self.classes, EXAMPLES).astype(np.int32)

    @property
    def order(self) -> NDArray[np.int32]:
        """Random indices of the examples in each batch, [steps, batch]."""
        return np.random.default_rng(2).integers(0, EXAMPLES, (self.steps, BATCH)).astype(np.int32)


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("mlp", "fashion-mnist", (28, 28, 1), 256, "uint8", 10, steps=400),
        Problem("separable_cnn", "cifar10", (32, 32, 3), 256, "uint8", 10, steps=20),
        Problem("bilstm", "imdb", (256,), VOCABULARY, "int32", 2, steps=20),
    )
}


class Training(NamedTuple):
    """Compiled training of a rival.

    Attributes:
      run: Function that takes the problem's training steps.
      parameters: Number of trained parameters.
    """

    run: Callable[[], None]
    parameters: int


def serve(ways: Mapping[str, Callable[[], Training]]) -> None:
    """Serves a rival's process: on each line of standard input, times the training named by the arguments."""
    training = ways[sys.argv[2]]()
    for _ in range(2):
        training.run()
    print(training.parameters, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        training.run()
        print(time.perf_counter() - start, flush=True)
