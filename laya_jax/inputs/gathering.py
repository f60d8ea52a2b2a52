"""Material of a run: data as its backbone reads them, and the backbone's weights if it is pretrained."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import numpy as np

from laya_jax.backbones import Pretrained
from laya_jax.classifier import Classifier
from laya_jax.data import Dataset, Examples, Preprocessing, Schema
from laya_jax.engine import Config, Parallel, TrainedModel, check_reads, checksum
from laya_jax.inputs.cached_states import HiddenStates, cached_hidden_states, hidden_shape, key_of
from laya_jax.inputs.pretrained import BackboneRecord, load_for, pretrained_of, sizes_of

FROZEN = Pretrained(HiddenStates(), {})
"""The backbone of a head that reads hidden states out of the cache."""

Progress = Callable[[int, int], None]
"""Hears how many of how many examples are done."""


class Material(NamedTuple):
    """Material of a run.

    Attributes:
      schema: Schema of the data, as they are stored.
      dataset: Data set that is trained on: of a frozen backbone the hidden states, of any other the data.
      pretrained: Backbone that reads the data set, and its weights; None for one that starts at random.
      backbone: Sizes and checksum of a pretrained backbone.
    """

    schema: Schema
    dataset: Dataset
    pretrained: Pretrained | None = None
    backbone: BackboneRecord | None = None


def gather(
    config: Config,
    parallel: Parallel,
    progress: Progress = lambda done, total: None,
    check: Callable[[Dataset], None] = lambda dataset: None,
) -> Material:
    """Loads the data and the weights that a config names; hidden states of a frozen backbone are cached.

    Args:
      config: Config of the run.
      parallel: Devices to compute hidden states on.
      progress: Called with the number of examples whose hidden states are done, and of all.
      check: Called with the data before that; may raise. Of a frozen backbone, the keys of the hidden states
        take the place of the inputs.

    Raises:
      FileNotFoundError: Data or weights are not there.
      ValueError: They cannot be read, or do not go together.
    """
    pretrained, frozen = pretrained_of(config), config.backbone.freeze
    dataset = load_for(config, decode=not frozen)
    schema = Schema.of(dataset)
    if pretrained is None:
        check(dataset)
        return Material(schema, dataset)
    known = BackboneRecord(sizes_of(pretrained.backbone), checksum(pretrained.parameters))
    check_reads(config, schema)
    # Whatever is wrong with the inputs shows before anything is computed or written.
    read = of_hidden_states(schema.preprocessing, pretrained.backbone)
    if not frozen:
        check(dataset)
        return Material(schema, dataset, pretrained, known)
    check(known_by(dataset, pretrained, schema.preprocessing))
    cached = partial(
        cached_hidden_states,
        pretrained=pretrained,
        preprocessing=schema.preprocessing,
        parallel=parallel,
        progress=progress,
    )
    states = dataclasses.replace(dataset.with_inputs(cached), preprocessing=read, encoder=None)
    return Material(schema, states, FROZEN, known)


def known_by(dataset: Dataset, frozen: Pretrained, preprocessing: Preprocessing) -> Dataset:
    """The data that a run with a frozen backbone is known by: keys of the hidden states for inputs."""
    return dataset.with_inputs(lambda inputs: key_of(inputs, frozen, preprocessing))


def fingerprint(dataset: Dataset) -> int:
    """A checksum of a data set; of inputs in files, what tells that a file has changed."""
    splits = (dataset.train, dataset.validation, dataset.test)
    inputs = [
        split.inputs if isinstance(split.inputs, np.ndarray) else np.int64(split.inputs.checksum())
        for split in splits
    ]
    return checksum([*inputs, *(split.labels for split in splits)])


def of_hidden_states(preprocessing: Preprocessing, backbone: nn.Module) -> Preprocessing:
    """The preprocessing of a backbone's hidden states, which are inputs as they are."""
    return Preprocessing("hidden_states", hidden_shape(backbone, preprocessing))


def head_alone(model: TrainedModel) -> TrainedModel:
    """A model with a frozen backbone as its head, which reads hidden states; any other one as it is."""
    if not model.config.backbone.freeze:
        return model
    read = of_hidden_states(model.schema.preprocessing, model.classifier.backbone)
    return TrainedModel(
        model.config,
        model.schema._replace(preprocessing=read, encoder=None),
        Classifier(FROZEN.backbone, model.classifier.head),
        {"head": model.parameters["head"]},
    )


def readable(
    model: TrainedModel, examples: Examples, parallel: Parallel, progress: Progress = lambda done, total: None
) -> Examples:
    """Examples as ``head_alone`` reads them: for a frozen backbone hidden states, from the cache."""
    if not model.config.backbone.freeze or examples.inputs.shape[1:] != model.schema.preprocessing.shape:
        return examples
    pretrained = Pretrained(model.classifier.backbone, model.parameters["backbone"])
    preprocessing = model.schema.preprocessing
    states = cached_hidden_states(examples.inputs, pretrained, preprocessing, parallel, progress)
    return Examples(states, examples.labels)
