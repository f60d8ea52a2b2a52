"""Heads that ``experiments.unique_head`` compares: in closed form, and trained by gradient descent."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from experiments.configs.unique_head import EPOCHS, TRAINED, Trained
from experiments.lib.in_memory import best_epoch
from laya_jax.backbones import Pretrained
from laya_jax.data import Dataset, Examples, Preprocessing
from laya_jax.engine import Engine
from laya_jax.heads import HeadOutput
from laya_jax.inputs import Unstack
from laya_jax.kernels import (
    Standardization,
    fit_kernel_head,
    predict_in_blocks,
    standardization_of,
    standardized,
)
from laya_jax.training import BackboneConfig, Config, LossConfig, OptimizerConfig, ParallelConfig

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Penalties that each head in closed form chooses from."""


class Split(NamedTuple):
    """Hidden states and labels of one part of the examples.

    Attributes:
      states: Hidden states, L arrays [N, D].
      labels: Labels, [N].
    """

    states: tuple[NDArray, ...]
    labels: NDArray

    def layer(self, index: int) -> "Split":
        """Selects one layer."""
        return Split((self.states[index],), self.labels)

    def few(self, labels: str) -> "Split":
        """Keeps the first examples of each class, which are in no order; "all" keeps all."""
        if labels == "all":
            return self
        rows = [np.flatnonzero(self.labels == label)[: int(labels)] for label in np.unique(self.labels)]
        kept = np.sort(np.concatenate(rows))
        return Split(tuple(state[kept] for state in self.states), self.labels[kept])

    def permuted(self) -> "Split":
        """Returns the examples in another order, which gives other rounding errors and nothing else."""
        order = np.random.default_rng(0).permutation(len(self.labels))
        return Split(tuple(state[order] for state in self.states), self.labels[order])

    def examples(self, standardize: Standardization) -> Examples:
        """Returns the examples with standardised states [N, L, D], each feature of variance 1 in training."""
        states = np.stack(standardized(standardize, self.states), axis=1)
        return Examples(states * np.float32(np.sqrt(states.shape[2])), self.labels)


class Result(NamedTuple):
    """Head fitted to one draw of the training examples.

    Attributes:
      setting: Chosen setting, as JSON.
      validation: Accuracy on validation.
      output: Output for the test examples.
    """

    setting: dict[str, Any]
    validation: float
    output: HeadOutput


Fit = Callable[[Split, Split, Split], Result]


def closed_form(kernel: str) -> Fit:
    """Returns the fit of a kernel head on all layers."""

    def fit(train: Split, validation: Split, test: Split) -> Result:
        found = fit_kernel_head(
            train.states, train.labels, kernel=kernel, penalties=PENALTIES, validation=validation
        )
        setting = {"penalty": found.best.penalty, "temperature": found.best.temperature}
        return Result(setting, found.best.score, predict_in_blocks(found.head, test.states))

    return fit


def single_layer(layers: Callable[[int], Sequence[int]]) -> Fit:
    """Returns the fit of a linear head on one layer, the best on validation of some."""

    def fit(train: Split, validation: Split, test: Split) -> Result:
        found = {}
        for index in layers(len(train.states)):
            parts = train.layer(index), validation.layer(index)
            found[index] = fit_kernel_head(
                parts[0].states, parts[0].labels, kernel="linear", penalties=PENALTIES, validation=parts[1]
            )
        best = min(found, key=lambda index: found[index].best.loss)
        output = predict_in_blocks(found[best].head, test.layer(best).states)
        setting = {"layer": best, "penalty": found[best].best.penalty}
        return Result(setting, found[best].best.score, output)

    return fit


def trained(settings: Sequence[Trained]) -> Fit:
    """Returns the fit of a head by gradients, on the standardised states that the kernel heads read, too."""

    def fit(train: Split, validation: Split, test: Split) -> Result:
        standardize = standardization_of(train.states)
        examples = [part.examples(standardize) for part in (train, validation, test)]
        names = tuple(map(str, range(int(train.labels.max()) + 1)))
        dataset = Dataset(*examples, names, Preprocessing("hidden_states", examples[0].inputs.shape[1:]))
        found = [_train(dataset, setting) for setting in settings]
        chosen = max(range(len(settings)), key=lambda index: found[index][0])
        return Result({"setting": chosen}, *found[chosen])

    return fit


def _train(dataset: Dataset, setting: Trained) -> tuple[float, HeadOutput]:
    """Trains one setting; returns its validation accuracy at the best epoch, and its test outputs."""
    config = Config(
        head=setting.head,
        optimizer=OptimizerConfig(learning_rate=setting.rate, schedule="cosine"),
        loss=LossConfig(label_smoothing=setting.smoothing),
        backbone=BackboneConfig(kind="vit", path="cached", freeze=True),
        batch_size=min(128, len(dataset.train.labels)),
        epochs=EPOCHS,
    )
    engine = Engine(config, dataset, ParallelConfig(devices=1), pretrained=Pretrained(Unstack(), {}))
    best = best_epoch(engine, EPOCHS, engine.steps_per_epoch)
    states = tuple(np.moveaxis(dataset.test.inputs, 1, 0))
    output = jax.jit(engine.classifier.head.apply)({"params": best.state.parameters["head"]}, states)
    return best.accuracy, jax.device_get(output)


HEADS: Mapping[str, Fit] = {
    "last layer": single_layer(lambda layers: [layers - 1]),
    "best single layer": single_layer(range),
    "linear": closed_form("linear"),
    "additive": closed_form("additive"),
    "gated": closed_form("gated"),
    **{name: trained(settings) for name, settings in TRAINED.items()},
}
"""Fit of each head."""
