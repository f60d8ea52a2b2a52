"""Inputs of a model: stored examples, or cached hidden states of a frozen backbone."""

import dataclasses
from collections.abc import Callable
from functools import cached_property, partial

import numpy as np

from laya_jax.backbones import Pretrained
from laya_jax.classifier import Classifier
from laya_jax.data import Dataset, Examples, Preprocessing, Schema
from laya_jax.engine import Config, Parallel, TrainedModel, check_reads, checksum
from laya_jax.inputs.cached_states import Unstack, cached_hidden_states, hidden_shape, key_of
from laya_jax.inputs.pretrained import BackboneRecord, load_for, pretrained_of, sizes_of

Progress = Callable[[int, int], None]
"""Callback that receives the numbers of examples done and in total."""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Inputs of a model whose parameters are all trained: stored examples.

    ``FrozenInputs`` has the same interface. In both, the trained part is the part that an ``Engine`` trains.

    Attributes:
      stored: Schema of the stored data.
      pretrained: Pretrained backbone and its parameters; None for random initialisation.
    """

    stored: Schema
    pretrained: Pretrained | None

    @property
    def read(self) -> Schema:
        """Schema of what the trained part reads."""
        return self.stored

    @property
    def backbone(self) -> Pretrained | None:
        """Backbone of the trained part, with its initial parameters; None for random initialisation."""
        return self.pretrained

    @cached_property
    def record(self) -> BackboneRecord | None:
        """Sizes and checksum of the pretrained backbone."""
        if self.pretrained is None:
            return None
        return BackboneRecord(sizes_of(self.pretrained.backbone), checksum(self.pretrained.parameters))

    def identify(self, dataset: Dataset) -> Dataset:
        """Returns the data set whose fingerprint identifies a run on these inputs."""
        return dataset

    def convert(
        self, examples: Examples, parallel: Parallel, progress: Progress = lambda done, total: None
    ) -> Examples:
        """Converts stored examples to those that the trained part reads; returns converted ones unchanged."""
        del parallel, progress  # nothing to compute
        return examples

    def convert_all(self, dataset: Dataset, parallel: Parallel, progress: Progress) -> Dataset:
        """Converts all splits of a data set."""
        del parallel, progress  # nothing to compute
        return dataset

    def trained_part(self, model: TrainedModel) -> TrainedModel:
        """Reduces a model to its trained part."""
        return model


@dataclasses.dataclass(frozen=True)
class FrozenInputs(Inputs):
    """Inputs of a head on a frozen backbone: hidden states, computed once and cached.

    Attributes:
      pretrained: Frozen backbone and its parameters.
    """

    pretrained: Pretrained

    @property
    def read(self) -> Schema:
        """Schema of what the trained part reads."""
        shape = hidden_shape(self.pretrained.backbone, self.stored.preprocessing)
        return self.stored._replace(
            preprocessing=Preprocessing("hidden_states", shape), encoder=None, dtype="float32"
        )

    @property
    def backbone(self) -> Pretrained:
        """Backbone of the trained part, which passes hidden states on to the head."""
        return Pretrained(Unstack(), {})

    def identify(self, dataset: Dataset) -> Dataset:
        """Returns the data set whose fingerprint identifies a run; its inputs are keys of hidden states."""
        return dataset.with_inputs(lambda inputs: key_of(inputs, *self._computation))

    def convert(
        self, examples: Examples, parallel: Parallel, progress: Progress = lambda done, total: None
    ) -> Examples:
        """Converts stored examples to those that the trained part reads; returns converted ones unchanged."""
        if examples.inputs.shape[1:] != self.stored.preprocessing.shape:
            return examples
        states = cached_hidden_states(examples.inputs, *self._computation, parallel, progress)
        return Examples(states, examples.labels)

    def convert_all(self, dataset: Dataset, parallel: Parallel, progress: Progress) -> Dataset:
        """Converts all splits of a data set."""
        pretrained, preprocessing = self._computation
        cached = partial(
            cached_hidden_states,
            pretrained=pretrained,
            preprocessing=preprocessing,
            parallel=parallel,
            progress=progress,
        )
        states = dataset.with_inputs(cached)
        return dataclasses.replace(states, preprocessing=self.read.preprocessing, encoder=None)

    def trained_part(self, model: TrainedModel) -> TrainedModel:
        """Reduces a model to its trained part, the head on hidden states."""
        classifier = Classifier(self.backbone.backbone, model.classifier.head)
        return TrainedModel(model.config, self.read, classifier, {"head": model.parameters["head"]})

    @property
    def _computation(self) -> tuple[Pretrained, Preprocessing]:
        return self.pretrained, self.stored.preprocessing


def inputs_for(config: Config, schema: Schema, pretrained: Pretrained | None) -> Inputs:
    """Returns the inputs of a config's model.

    Args:
      config: Config of the run.
      schema: Schema of the stored data.
      pretrained: Pretrained backbone and its parameters; None for random initialisation.
    """
    if pretrained is not None and config.backbone.freeze:
        return FrozenInputs(schema, pretrained)
    return Inputs(schema, pretrained)


def inputs_of(model: TrainedModel) -> Inputs:
    """Returns the inputs of a trained model."""
    if not model.config.backbone.freeze:
        return Inputs(model.schema, None)
    return FrozenInputs(model.schema, Pretrained(model.classifier.backbone, model.parameters["backbone"]))


def gather(
    config: Config,
    parallel: Parallel,
    progress: Progress = lambda done, total: None,
    check: Callable[[Dataset], None] = lambda dataset: None,
) -> tuple[Inputs, Dataset]:
    """Loads the data and weights of a config; hidden states of a frozen backbone are cached.

    Args:
      config: Config of the run.
      parallel: Devices to compute hidden states on.
      progress: Callback during the computation of hidden states, called with the numbers of examples done
        and in total.
      check: Callback that may raise an error, called first, with the data set that identifies the run.

    Returns:
      The inputs, and the data set that the trained part reads.

    Raises:
      FileNotFoundError: Data or weights do not exist.
      ValueError: Data or weights cannot be read, or do not match.
    """
    pretrained = pretrained_of(config)
    dataset = load_for(config, decode=not config.backbone.freeze)
    inputs = inputs_for(config, Schema.of(dataset), pretrained)
    if pretrained is not None:
        # Fail on invalid inputs before anything is computed or written.
        check_reads(config, inputs.stored)
        hidden_shape(pretrained.backbone, inputs.stored.preprocessing)
    check(inputs.identify(dataset))
    return inputs, inputs.convert_all(dataset, parallel, progress)


def fingerprint(dataset: Dataset) -> int:
    """Computes a checksum of a data set; for inputs in files, from their names and checksums."""
    splits = (dataset.train, dataset.validation, dataset.test)
    inputs = [
        split.inputs if isinstance(split.inputs, np.ndarray) else np.int64(split.inputs.checksum())
        for split in splits
    ]
    return checksum([*inputs, *(split.labels for split in splits)])
