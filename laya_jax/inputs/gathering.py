"""Material of a run: data prepared for its backbone, and the weights of a pretrained backbone."""

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
"""Backbone that passes cached hidden states on to a head."""

Progress = Callable[[int, int], None]
"""Callback that receives the numbers of examples done and in total."""


class Material(NamedTuple):
    """Data and pretrained weights of a run.

    Attributes:
      schema: Schema of the stored data.
      dataset: Data set to train on: hidden states for a frozen backbone, otherwise the data themselves.
      pretrained: Backbone that reads the data set, and its weights; None for random initialisation.
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
    """Loads the data and weights of a config; hidden states of a frozen backbone are cached.

    Args:
      config: Config of the run.
      parallel: Devices to compute hidden states on.
      progress: Callback during the computation of hidden states, called with the numbers of examples done
        and in total.
      check: Callback that may raise, called with the data set first. For a frozen backbone, its inputs are
        the keys of the hidden states.

    Raises:
      FileNotFoundError: Data or weights do not exist.
      ValueError: Data or weights cannot be read, or do not match.
    """
    pretrained, frozen = pretrained_of(config), config.backbone.freeze
    dataset = load_for(config, decode=not frozen)
    schema = Schema.of(dataset)
    if pretrained is None:
        check(dataset)
        return Material(schema, dataset)
    known = BackboneRecord(sizes_of(pretrained.backbone), checksum(pretrained.parameters))
    check_reads(config, schema)
    # Fails on invalid inputs before anything is computed or written.
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
    """Returns the data set that identifies a run with a frozen backbone: its inputs are hidden-state keys."""
    return dataset.with_inputs(lambda inputs: key_of(inputs, frozen, preprocessing))


def fingerprint(dataset: Dataset) -> int:
    """Computes a checksum of a data set; for inputs in files, from their names and checksums."""
    splits = (dataset.train, dataset.validation, dataset.test)
    inputs = [
        split.inputs if isinstance(split.inputs, np.ndarray) else np.int64(split.inputs.checksum())
        for split in splits
    ]
    return checksum([*inputs, *(split.labels for split in splits)])


def of_hidden_states(preprocessing: Preprocessing, backbone: nn.Module) -> Preprocessing:
    """Returns the identity preprocessing for a backbone's hidden states."""
    return Preprocessing("hidden_states", hidden_shape(backbone, preprocessing))


def head_alone(model: TrainedModel) -> TrainedModel:
    """Reduces a model with a frozen backbone to its head, which reads hidden states; returns others as is."""
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
    """Returns examples in the form that ``head_alone`` reads: cached hidden states for a frozen backbone."""
    if not model.config.backbone.freeze or examples.inputs.shape[1:] != model.schema.preprocessing.shape:
        return examples
    pretrained = Pretrained(model.classifier.backbone, model.parameters["backbone"])
    preprocessing = model.schema.preprocessing
    states = cached_hidden_states(examples.inputs, pretrained, preprocessing, parallel, progress)
    return Examples(states, examples.labels)
