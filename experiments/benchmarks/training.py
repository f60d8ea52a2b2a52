"""Training throughput against Keras and PyTorch, and against the machine's own matrix products.

    pip install "laya-jax[bench]"
    python -m experiments.benchmarks.training

All libraries train the same models with batch size 128, float32 and Adam, in whole steps that include
gathering the batch from memory. Every rival runs in a separate process and in several variants, and all take
turns; the fastest variant of each counts. Keras's ``fit`` is timed without XLA, its loop both with and
without. Enough steps are timed together to make the overhead of starting an epoch in ``fit`` negligible.
Takes about a quarter of an hour on two cores.
"""

import dataclasses
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters.partial_eval import dce_jaxpr

from experiments.benchmarks.problems import BATCH, PROBLEMS, VOCABULARY, Problem
from experiments.benchmarks.timing import report, results, table
from experiments.lib.command import errors_in_a_line
from laya_jax.checks import check_choice
from laya_jax.cost import count_flops
from laya_jax.data import Dataset, Examples, Preprocessing, Vocabulary
from laya_jax.training import EXPERIMENTS, Engine, ParallelConfig

ROUNDS = 5
RIVALS = {"keras": ("fit", "loop", "loop, jit_compile"), "torch": ("eager", "compiled")}
HOPELESS = {("separable_cnn", "loop, jit_compile")}
"""Pairs of problem and variant that take many times as long as the library's other variants."""


class Rival:
    """Training by another library in a separate process."""

    def __init__(self, library: str, problem: str, way: str) -> None:
        module = f"experiments.benchmarks.rivals_{library}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, problem, way],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def wait(self, parameters: int) -> bool:
        """Waits until the rival has compiled; returns False if it failed.

        Raises:
          RuntimeError: The rival's number of parameters shows that it trains a different network.
        """
        said = self._read()
        # PyTorch's LSTM has two bias vectors where one would be enough.
        if said and abs(int(said) / parameters - 1) > 0.001:
            raise RuntimeError(f"a rival trains {said} parameters, expected about {parameters}")
        return bool(said)

    def __call__(self) -> float:
        """Takes the problem's steps and returns the seconds they took."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._read())

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        """Kills the process."""
        self.process.kill()
        self.process.communicate()


def laya_jax(problem: Problem) -> Callable[[], float]:
    """Sets up our training, using the engine of ``laya train``; returns a function that times it."""
    engine = engine_of(problem)
    placed = engine.place(engine.initial())

    def run() -> float:
        nonlocal placed
        start = time.perf_counter()
        for state, metrics in engine.train(placed, 0, problem.steps):
            placed = state
            np.asarray(metrics.loss)
        return time.perf_counter() - start

    run()
    return run


def engine_of(problem: Problem) -> Engine:
    """Creates the engine that trains the problem on its random data."""
    examples = Examples(problem.inputs, problem.labels)
    kind: Any = "tokens" if problem.name == "bilstm" else "images"
    dataset = Dataset(
        train=examples,
        validation=examples,
        test=examples,
        class_names=tuple(map(str, range(problem.classes))),
        preprocessing=Preprocessing(kind, problem.shape, scale=(255.0,)),
        encoder=Vocabulary(("",) * (VOCABULARY - 2)) if kind == "tokens" else None,
    )
    config = dataclasses.replace(EXPERIMENTS[problem.experiment], batch_size=BATCH)
    return Engine(config, dataset, ParallelConfig(devices=1))


def product_seconds(flops: int) -> Callable[[], float]:
    """Returns a function that measures the time of this many operations in large float32 matrix products."""
    size = 1024
    left, right = jnp.ones((size, size)), jnp.ones((size, size))
    product = jax.jit(jnp.matmul)
    product(left, right).block_until_ready()

    def run() -> float:
        start = time.perf_counter()
        for _ in range(10):
            result = product(left, right)
        result.block_until_ready()
        return (time.perf_counter() - start) / 10 * flops / (2 * size**3)

    return run


def step_flops(problem: Problem) -> int:
    """Counts the floating-point operations of the matrix products in one training step."""
    engine = engine_of(problem)
    state, examples = engine.initial()[0], engine.dataset.train
    batch = jnp.zeros((1, BATCH), jnp.int32)

    def step(state: Any) -> Any:
        data = Examples(jnp.asarray(examples.inputs), jnp.asarray(examples.labels))
        return engine.train_chunk(state, data, batch, 1)

    jaxpr = jax.make_jaxpr(step)(state).jaxpr
    needed, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return count_flops(needed)


def compare_all(problem: Problem) -> dict[str, dict[str, float]]:
    """Times a step of every library in turn, and computes the ratios to our time."""
    rivals = {
        f"{library}, {way}": Rival(library, problem.name, way)
        for library, ways in RIVALS.items()
        for way in ways
        if (problem.name, way) not in HOPELESS
    }
    parameters = sum(leaf.size for leaf in jax.tree.leaves(engine_of(problem).initial()[0].parameters))
    ready: dict[str, Callable[[], float]] = {
        name: rival for name, rival in rivals.items() if rival.wait(parameters)
    }
    for name in rivals.keys() - ready.keys():
        print(f"{problem.name}: {name} could not run", file=sys.stderr)
    flops = step_flops(problem) * problem.steps
    runs = {"laya_jax": laya_jax(problem), **ready, "matrix products alone": product_seconds(flops)}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            seconds[name].append(run() / problem.steps)
    for rival in rivals.values():
        rival.close()
    return table(seconds)


def main(names: Sequence[str]) -> None:
    """Runs the comparison on the named problems, or on all."""
    for module in ("keras", "tensorflow", "torch"):
        if importlib.util.find_spec(module) is None:
            sys.exit(f"{module} is missing; the comparison needs: pip install 'laya-jax[bench]'")
    for name in names:
        check_choice("problem", name, tuple(PROBLEMS))
    for name in names or PROBLEMS:
        report("training", {**results("training"), name: compare_all(PROBLEMS[name])})


if __name__ == "__main__":
    with errors_in_a_line("training"):
        main(sys.argv[1:])
