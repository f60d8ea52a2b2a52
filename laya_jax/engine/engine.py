"""Compiled training and prediction for a config and its data set, without any file access."""

import copy
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import jax
import numpy as np
from numpy.typing import NDArray

from laya_jax.backbones import BACKBONES, Pretrained
from laya_jax.data import Dataset, Schema, batch_indices, is_own, steps_per_epoch
from laya_jax.engine.config import Config
from laya_jax.engine.feed import LARGEST_RESIDENT, Feed
from laya_jax.engine.heads import HEADS
from laya_jax.engine.memory import check_fits
from laya_jax.engine.model import initial_parameters, make_classifier
from laya_jax.engine.parallel import ParallelConfig, make_parallel
from laya_jax.engine.predictor import Predictor
from laya_jax.engine.state import TrainState, initial_state, make_optimizer
from laya_jax.engine.steps import Outputs, StepMetrics, make_train_chunk, output_reader
from laya_jax.typing import JsonObject, Parameters, PyTree

Split: TypeAlias = Literal["train", "validation", "test"]

PlacedState: TypeAlias = TrainState
"""Training states of all seeds on the devices, in the form that the compiled functions take."""


class Engine:
    """Trains one seed, or several side by side in one vmapped program.

    On the host, states are one ``TrainState`` of NumPy arrays per seed, independent of the devices; ``place``
    transfers them to the devices and ``fetch`` copies them back.

    Attributes:
      dataset: Data set to train and test on.
      seeds: Random seeds that are trained side by side.
      parallel: Placement of arrays on devices.
      classifier: Classifier to train.
      train_chunk: Compiled function that takes a chunk of steps.
      steps_per_epoch: Number of steps per epoch.
      details: Findings of training that go into the metrics of the epoch.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        parallel: ParallelConfig,
        seeds: Sequence[int] = (),
        largest_resident: int = LARGEST_RESIDENT,
        pretrained: Pretrained | None = None,
    ) -> None:
        self.dataset = dataset
        self.seeds = tuple(seeds) or (config.seed,)
        self.parallel = make_parallel(parallel, batch_size=config.batch_size)
        examples, share = len(dataset.train.labels), len(self.parallel.devices) * (parallel.microbatches or 1)
        self.batch_size = fitting_batch_size(config, examples, share)
        solved = HEADS[config.head.kind].is_solved
        self.steps_per_epoch = 1 if solved else steps_per_epoch(examples, self.batch_size)
        self.classifier = make_classifier(config, Schema.of(dataset), pretrained and pretrained.backbone)
        self._pretrained = pretrained.parameters if pretrained else {}
        self.optimizer = make_optimizer(config, config.epochs * self.steps_per_epoch)
        self.details: JsonObject = {}
        self._largest_resident = largest_resident
        self._feeds: dict[Split, Feed] = {}
        sizes = {"batch_size": self.batch_size, "seeds": len(self.seeds)}
        self._predictors = {
            explain: Predictor(
                output_reader(self.classifier, explain=explain),
                dataset.preprocessing,
                self.parallel,
                **sizes,
            )
            for explain in (False, True)
        }
        self.train_chunk = make_train_chunk(
            self.classifier,
            dataset.preprocessing,
            self.optimizer,
            config.loss,
            axis_name=self.parallel.axis_name,
            seeds=len(self.seeds) > 1,
            microbatches=_microbatches(parallel, config, self.batch_size // len(self.parallel.devices)),
        )
        self._train = self.parallel.compile(self.train_chunk, donate=True)
        self._draw = jax.jit(self._initial)
        check_fits(jax.eval_shape(self._initial, np.uint32(0), self._pretrained))

    def with_seeds(self, seeds: Sequence[int]) -> "Engine":
        """Returns an engine for as many other seeds that reuses the compiled functions and placed data."""
        if len(seeds) != len(self.seeds):
            raise ValueError(f"seeds are {tuple(seeds)}, expected {len(self.seeds)} of them")
        engine = copy.copy(self)
        engine.seeds = tuple(seeds)
        return engine

    def initial(self) -> list[TrainState]:
        """Returns the initial state of each seed."""
        return [_copy(self._draw(np.uint32(seed), self._pretrained)) for seed in self.seeds]

    def place(self, states: Sequence[TrainState]) -> PlacedState:
        """Puts the seeds' states on the devices, side by side."""
        if len(self.seeds) == 1:
            return self.parallel.replicate(states[0])
        return self.parallel.replicate(jax.tree.map(lambda *leaves: np.stack(leaves), *states))

    def fetch(self, placed: PlacedState) -> list[TrainState]:
        """Copies the seeds' states from the devices."""
        state = self.parallel.local(placed)
        if len(self.seeds) == 1:
            return [_copy(state)]
        return [_copy(jax.tree.map(lambda leaf, i=i: leaf[i], state)) for i in range(len(self.seeds))]

    def train(
        self, placed: PlacedState, first_step: int, steps: int
    ) -> Iterator[tuple[PlacedState, StepMetrics[NDArray]]]:
        """Takes training steps. The input state is donated; continue with the one that is yielded.

        Yields:
          State and metrics [seed, step] after every chunk of steps.
        """
        feed = self._feed("train")
        sizes = (len(feed), self.batch_size)
        indices = [batch_indices(*sizes, seed, first_step, steps) for seed in self.seeds]
        for batches, count in feed.chunks(_side_by_side(indices)):
            placed, metrics = self._train(placed, feed.data, batches, count)
            yield placed, StepMetrics(*(self._by_seed(leaf, count) for leaf in metrics))

    def outputs(self, placed: PlacedState, split: Split, *, explain: bool = False) -> list[Outputs[NDArray]]:
        """Computes the outputs of each seed for every example of a split, in order.

        Args:
          placed: States on the devices.
          split: Name of the split.
          explain: True to also measure how faithful the attention is.
        """
        return self._predictors[explain].outputs(placed.parameters, self._feed(split))

    def _initial(self, seed: jax.Array, pretrained: Parameters) -> TrainState:
        parameters = initial_parameters(self.classifier, self.dataset.preprocessing, seed, pretrained)
        return initial_state(parameters, self.optimizer, seed if self.classifier.head.is_random else None)

    def _feed(self, split: Split) -> Feed:
        if split not in self._feeds:
            self._feeds[split] = Feed(getattr(self.dataset, split), self.parallel, self._largest_resident)
        return self._feeds[split]

    def _by_seed(self, leaf: jax.Array, count: int) -> NDArray:
        steps = np.asarray(self.parallel.local(leaf))[:count]
        return steps.reshape(count, len(self.seeds)).T


def fitting_batch_size(config: Config, examples: int, divisor: int) -> int:
    """Computes the batch size; user data smaller than a batch become one batch, padded to a multiple.

    Args:
      config: Config of the run.
      examples: Number of training examples.
      divisor: Number of parts that a batch is divided into, over all devices.

    Raises:
      ValueError: The batch is larger than a named data set.

    >>> from laya_jax.data import DataConfig
    >>> fitting_batch_size(Config(data=DataConfig(source="npz:a.npz")), 81, 8)
    88
    """
    if config.batch_size > examples and not is_own(config.data.source):
        raise ValueError(
            f"batch_size is {config.batch_size}, expected at most {examples}, the number of training examples"
        )
    return min(config.batch_size, -(-examples // divisor) * divisor)


def _microbatches(parallel: ParallelConfig, config: Config, share: int) -> int:
    """Computes the number of microbatches per device."""
    if parallel.microbatches is not None:
        if share % parallel.microbatches:
            raise ValueError(
                f"microbatches is {parallel.microbatches}, expected a divisor of {share}, the number of "
                "examples per batch on each device"
            )
        return parallel.microbatches
    examples = BACKBONES[config.backbone.kind].fits_in_cache
    if examples is None or share % examples or jax.default_backend() != "cpu":
        return 1
    return share // examples


def _side_by_side(indices: Sequence[NDArray]) -> NDArray:
    return indices[0] if len(indices) == 1 else np.stack(indices, axis=1)


def _copy(tree: PyTree) -> PyTree:
    # A view would alias a buffer that is donated to the next step.
    return jax.tree.map(lambda leaf: np.array(leaf, copy=True), tree)
