"""Engine for heads solved in closed form on hidden states: a single step, without an optimizer."""

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.backbones import Pretrained
from laya_jax.data import Dataset, Examples
from laya_jax.engine.config import Config, KernelName
from laya_jax.engine.engine import Engine, PlacedState
from laya_jax.engine.heads import HEADS
from laya_jax.engine.parallel import ParallelConfig
from laya_jax.engine.steps import StepMetrics
from laya_jax.kernels import (
    KERNELS,
    LANDMARKS,
    MOST_EXACT,
    KernelFit,
    KernelHead,
    fit_kernel_head,
    kernel_parameters,
)
from laya_jax.typing import Parameters

SIMPLEST_FIRST: tuple[KernelName, ...] = ("linear", "additive", "gated")
"""Kernels, simplest first; a simpler one is preferred."""


class Solver(Engine):
    """Solves for the parameters of a kernel head in one step; nothing depends on the random seed."""

    def train(
        self, placed: PlacedState, first_step: int, steps: int
    ) -> Iterator[tuple[PlacedState, StepMetrics[NDArray]]]:
        """Solves for the parameters; the penalty is chosen on the validation split."""
        del first_step, steps  # there is only one
        head, start = cast(KernelHead, self.classifier.head), time.monotonic()
        fit = _fit(self.dataset, str(head.kernel), head.landmarks)
        self.details = {
            "penalty": fit.best.penalty,
            "trials": [trial._asdict() for trial in fit.trials],
            "approximation": None if fit.approximation is None else fit.approximation._asdict(),
            "seconds": round(time.monotonic() - start, 2),
        }
        points = len(placed.parameters["head"]["classifier"]["kernel"])
        yield self._solved(placed, {"head": kernel_parameters(fit.head, points)})

    def _solved(
        self, placed: PlacedState, parameters: Parameters
    ) -> tuple[PlacedState, StepMetrics[NDArray]]:
        solved = {"step": jnp.int32(1), "parameters": parameters}
        states = [dataclasses.replace(state, **solved) for state in self.fetch(placed)]
        placed = self.place(states)
        metrics = [self._on_training_split(output.logits) for output in self.outputs(placed, "train")]
        return placed, StepMetrics(*(np.stack(part)[:, None] for part in zip(*metrics, strict=True)))

    def _on_training_split(self, logits: NDArray) -> StepMetrics[NDArray]:
        labels = self.dataset.train.labels
        shifted = logits - logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
        right = np.sum(np.argmax(logits, axis=1) == labels)
        return StepMetrics(*map(np.asarray, (np.mean(losses), right, np.float64(len(labels)))))


def make_engine(
    config: Config,
    dataset: Dataset,
    parallel: ParallelConfig,
    seeds: Sequence[int] = (),
    pretrained: Pretrained | None = None,
) -> Engine:
    """Makes the engine that trains a config's head or solves for it."""
    kind = Solver if HEADS[config.head.kind].is_solved else Engine
    return kind(config, dataset, parallel, seeds, pretrained=pretrained)


class Settled(NamedTuple):
    """Config without open choices.

    Attributes:
      config: Config with a kernel and a number of landmarks.
      note: Note on the choice of the kernel; empty if it was given.
    """

    config: Config
    note: str = ""


def settled(config: Config, dataset: Dataset) -> Settled:
    """Makes the choices that the config of a kernel head leaves to the data.

    The kernel is the simplest whose accuracy on the validation split is within one standard error of the
    best.

    Args:
      config: Config of the run; other heads leave nothing open.
      dataset: Hidden states of the frozen backbone.
    """
    if not HEADS[config.head.kind].is_solved:
        return Settled(config)
    examples, note = len(dataset.train.labels), ""
    most = min(config.head.landmarks or (examples if examples <= MOST_EXACT else LANDMARKS), examples)
    kernel = config.head.kernel
    if kernel is None:
        kernel, note = _chosen_kernel(dataset, most)
    stored = None if KERNELS[kernel].linear else most
    head = dataclasses.replace(config.head, kernel=kernel, landmarks=stored)
    return Settled(dataclasses.replace(config, epochs=1, head=head), note)


def _chosen_kernel(dataset: Dataset, landmarks: int) -> tuple[KernelName, str]:
    scores = {
        kernel: _fit(dataset, kernel, None if KERNELS[kernel].linear else landmarks).best.score
        for kernel in SIMPLEST_FIRST
    }
    best, number = max(scores.values()), len(dataset.validation.labels)
    error = math.sqrt(best * (1 - best) / number)
    chosen = next(kernel for kernel, score in scores.items() if score >= best - error)
    tried = ", ".join(f"{kernel} {score:.4f}" for kernel, score in scores.items())
    return chosen, (
        f"the kernel is {chosen}, the simplest within one standard error ({error:.4f}) of the best accuracy "
        f"on the validation split: {tried}"
    )


def _fit(dataset: Dataset, kernel: str, landmarks: int | None) -> KernelFit:
    train, validation = dataset.train, dataset.validation
    return fit_kernel_head(
        _layers(train),
        train.labels,
        kernel=kernel,
        validation=(_layers(validation), validation.labels),
        landmarks=None if landmarks is None or landmarks >= len(train.labels) else landmarks,
        num_classes=len(dataset.class_names),
    )


def caveats(config: Config) -> tuple[str, ...]:
    """Returns caveats to state with every model: a kernel head may store training data."""
    if not HEADS[config.head.kind].is_solved or config.head.landmarks is None:
        return ()
    return (f"the model stores the hidden states of {config.head.landmarks:,} training examples",)


def _layers(examples: Examples) -> list[np.ndarray]:
    states = np.asarray(examples.inputs)
    return [states[:, layer] for layer in range(states.shape[1])]
