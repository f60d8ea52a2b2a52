"""Engine for heads that are solved in closed form on hidden states: one step, which needs no optimizer."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import jax.numpy as jnp
import numpy as np

from laya_jax.backbones import Pretrained
from laya_jax.data import Dataset, Examples
from laya_jax.engine.config import Config
from laya_jax.engine.engine import Engine, PlacedState
from laya_jax.engine.heads import HEADS
from laya_jax.engine.parallel import ParallelConfig
from laya_jax.engine.steps import StepMetrics
from laya_jax.kernels import KERNELS, LANDMARKS, MOST_EXACT, KernelHead, fit_kernel_head, kernel_parameters


class Solver(Engine):
    """Solves for the parameters of a kernel head in one step; nothing depends on the random seed."""

    def __init__(self, config: Config, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        self.steps_per_epoch = 1

    def train(
        self, placed: PlacedState, first_step: int, steps: int
    ) -> Iterator[tuple[PlacedState, StepMetrics]]:
        """Solves for the parameters; the penalty is chosen on the validation split."""
        del first_step, steps  # there is only one
        head, start = cast(KernelHead, self.classifier.head), time.monotonic()
        train, held_out = _layers(self.dataset.train), _layers(self.dataset.validation)
        stored, number = head.landmarks, len(self.dataset.train.labels)
        fit = fit_kernel_head(
            train,
            self.dataset.train.labels,
            kernel=head.kernel,
            validation=(held_out, self.dataset.validation.labels),
            landmarks=None if stored is None or stored >= number else stored,
            num_classes=head.num_classes,
        )
        self.details = {
            "penalty": fit.best.penalty,
            "trials": [trial._asdict() for trial in fit.trials],
            "approximation": None if fit.approximation is None else fit.approximation._asdict(),
            "seconds": round(time.monotonic() - start, 2),
        }
        points = len(placed.parameters["head"]["classifier"]["kernel"])
        yield self._solved(placed, {"head": kernel_parameters(fit.head, points)})

    def _solved(self, placed: PlacedState, parameters: Any) -> tuple[PlacedState, StepMetrics]:
        solved = {"step": jnp.int32(1), "parameters": parameters}
        states = [dataclasses.replace(state, **solved) for state in self.fetch(placed)]
        placed = self.place(states)
        metrics = [self._on_training_split(output.logits) for output in self.outputs(placed, "train")]
        return placed, StepMetrics(*(np.stack(part)[:, None] for part in zip(*metrics, strict=True)))

    def _on_training_split(self, logits: Any) -> StepMetrics:
        labels = self.dataset.train.labels
        shifted = logits - logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
        right = np.sum(np.argmax(logits, axis=1) == labels)
        return StepMetrics(np.mean(losses), right, np.float64(len(labels)))


def make_engine(
    config: Config,
    dataset: Dataset,
    parallel: ParallelConfig,
    seeds: Sequence[int] = (),
    pretrained: Pretrained | None = None,
) -> Engine:
    """Makes the engine that trains, or solves for, a config's head."""
    kind = Solver if HEADS[config.head.kind].is_solved else Engine
    return kind(config, dataset, parallel, seeds, pretrained=pretrained)


def settled(config: Config, examples: int) -> Config:
    """Fills in what a config leaves to the number of training examples.

    >>> from laya_jax.engine.config import BackboneConfig, HeadConfig
    >>> frozen = BackboneConfig(kind="vit", path="vit", freeze=True)
    >>> settled(Config(backbone=frozen, head=HeadConfig(kind="kernel")), examples=500).head.landmarks
    500
    """
    head = config.head
    if not HEADS[head.kind].is_solved:
        return config
    most = examples if examples <= MOST_EXACT else LANDMARKS
    stored = None if KERNELS[head.kernel].linear else min(head.landmarks or most, examples)
    return dataclasses.replace(config, epochs=1, head=dataclasses.replace(head, landmarks=stored))


def caveats(config: Config) -> tuple[str, ...]:
    """Returns what has to be said of every model with such a head: it stores training data."""
    if not HEADS[config.head.kind].is_solved or config.head.landmarks is None:
        return ()
    return (f"the model stores the hidden states of {config.head.landmarks:,} training examples",)


def _layers(examples: Examples) -> list[np.ndarray]:
    states = np.asarray(examples.inputs)
    return [states[:, layer] for layer in range(states.shape[1])]
