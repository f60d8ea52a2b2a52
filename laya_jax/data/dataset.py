"""What every source gives: arrays of examples in three splits, and what turns them into a model's inputs."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig
from laya_jax.data.splits import Splits, check_trained, split_rows
from laya_jax.data.vocabulary import TextEncoder
from laya_jax.typing import Array


class Examples(NamedTuple):
    """Inputs and their labels.

    Attributes:
      inputs: as stored, [N, ...]: uint8 images [N, H, W, C], features [N, D] or tokens [N, T] of int32; an
        array, or what reads its rows from files when they are asked for.
      labels: [N] of int32.
    """

    inputs: Any
    labels: Any

    def take(self, rows: NDArray | slice) -> "Examples":
        """Some of the examples."""
        return Examples(self.inputs[rows], self.labels[rows])


class Unlabelled(NamedTuple):
    """Examples to predict.

    Attributes:
      inputs: as in ``Examples``.
      ids: names of files, or numbers of rows.
      labels: [N] of int32, where they are known.
      part: of their source, if they are not all that it holds: the array of a file, or a split.
      notes: Sentences on what the reader left out, changed or found odd, for people; each is shown once.
    """

    inputs: Any
    ids: tuple[str, ...]
    labels: NDArray | None
    part: str | None = None
    notes: tuple[str, ...] = ()

    def named(self, source: str) -> str:
        """What was read of this source, for people.

        >>> Unlabelled(np.zeros((2, 3)), ("0", "1"), None, "test_inputs").named("npz:points.npz")
        'npz:points.npz, test_inputs'
        """
        return f"{source}, {self.part}" if self.part else source


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Turns stored inputs into a model's: ``(inputs - mean) / scale`` in float32; tokens stay as they are.

    >>> preprocessing = Preprocessing("images", (2, 2, 1), scale=(255.0,))
    >>> preprocessing(jnp.full((1, 2, 2, 1), 102, jnp.uint8))[0, 0, 0].round(3)
    Array([0.4], dtype=float32)

    Attributes:
      kind: images, features, tokens, or the hidden states of a frozen backbone.
      shape: of one stored input.
      mean: per channel (last axis), or one for all.
      scale: per channel, or one for all.
    """

    kind: Literal["images", "features", "tokens", "hidden_states"]
    shape: tuple[int, ...]
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    def __call__(self, inputs: Array) -> Array:
        """The model's inputs [B, *shape], for stored ones, which may have been flattened."""
        inputs = inputs.reshape(-1, *self.shape)
        if self.kind == "tokens":
            return inputs
        channels = (1,) * (inputs.ndim - 1) + (-1,)
        mean, scale = (
            jnp.asarray(values, jnp.float32).reshape(channels) for values in (self.mean, self.scale)
        )
        return (inputs.astype(jnp.float32) - mean) / scale

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """That of which ``dataclasses.asdict`` made these values."""
        tuples = {name: tuple(values[name]) for name in ("shape", "mean", "scale")}
        return cls(kind=values["kind"], **tuples)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set, split.

    Attributes:
      train: to train on.
      validation: to choose the best epoch.
      test: to report.
      class_names: by label.
      preprocessing: what turns stored inputs into a model's.
      encoder: what turned texts into numbers; None if the inputs are no texts.
      ids: of the examples in their source: names of files, or numbers of rows, from 0 on in each part that
        the source sets apart; None if there is no source.
      notes: Sentences on what the reader left out, changed or found odd, for people; each is shown once.
    """

    train: Examples
    validation: Examples
    test: Examples
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    encoder: TextEncoder | None = None
    ids: Splits | None = None
    notes: tuple[str, ...] = ()

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of examples of each class, over all splits."""
        labels = np.concatenate([split.labels for split in (self.train, self.validation, self.test)])
        return tuple(np.bincount(labels, minlength=len(self.class_names)).tolist())

    def with_inputs(self, change: Callable[[Any], Any]) -> "Dataset":
        """The same with other inputs: those of each split as ``change`` makes them."""
        train, validation, test = (
            Examples(change(split.inputs), split.labels) for split in (self.train, self.validation, self.test)
        )
        return dataclasses.replace(self, train=train, validation=validation, test=test)


class Schema(NamedTuple):
    """What a model knows of its data.

    Attributes:
      class_names: by label.
      preprocessing: what turns stored inputs into the model's.
      encoder: what turns texts into numbers; None if the inputs are no texts.
      dtype: of stored inputs, whose scale it decides; None if the model was saved before that was written.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    encoder: TextEncoder | None
    dtype: str | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> "Schema":
        """That of a data set."""
        dtype = str(dataset.train.inputs.dtype)
        return cls(dataset.class_names, dataset.preprocessing, dataset.encoder, dtype)

    def text_encoder(self) -> TextEncoder:
        """What turns texts into numbers.

        Raises:
          ValueError: the inputs are no texts.
        """
        if self.encoder is None:
            raise ValueError(f"inputs are {self.preprocessing.kind}, expected texts")
        return self.encoder


def check_labels(labels: Sequence[Any] | NDArray, where: str) -> NDArray:
    """Labels as int32, or raises.

    >>> check_labels([0.5], "labels of data.npz")
    Traceback (most recent call last):
      ...
    ValueError: labels of data.npz are of float64, expected whole numbers

    Raises:
      ValueError: labels that are no whole numbers from 0 on.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{where} have shape {array.shape}, expected one label per example")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{where} are of {array.dtype}, expected whole numbers")
    if array.min() < 0:
        raise ValueError(f"{where} hold {array.min()}, expected whole numbers from 0 on")
    return array.astype(np.int32)


def check_classes(labels: NDArray, class_names: Sequence[str], where: str) -> None:
    """Raises unless every label has a class.

    >>> check_classes(np.array([0, 2]), ("a", "b"), "labels")
    Traceback (most recent call last):
      ...
    ValueError: labels hold 2, expected less than the number of classes, 2
    """
    if len(labels) and labels.max() >= len(class_names):
        raise ValueError(
            f"{where} hold {labels.max()}, expected less than the number of classes, {len(class_names)}"
        )


def make_dataset(
    examples: Examples,
    test: Examples | None,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    config: DataConfig,
    validation: Examples | None = None,
) -> Dataset:
    """Splits a source's examples, and measures what normalises them on the training split.

    Args:
      examples: those that the source does not set apart.
      test: those that it sets apart for testing; None holds some of the others out.
      class_names: by label.
      preprocessing: what turns stored inputs into a model's.
      config: how to split, and whether to normalise.
      validation: those that it sets apart to choose the best epoch; None holds some of the others out.

    Raises:
      ValueError: too few examples, a training split of one class only, or one without a class of the last
        examples, if these are held out.
    """
    rows = split_rows(len(examples.labels), config, has_test=test is not None)
    if validation is not None:
        rows = Splits(np.sort(np.concatenate([rows.train, rows.validation])), rows.validation[:0], rows.test)
    train = examples.take(rows.train)
    if config.split == "last":
        check_trained(train.labels, examples.labels[np.concatenate(rows[1:])], class_names)
    classes = np.unique(train.labels)
    if len(classes) < 2:
        name = class_names[int(classes[0])]
        raise ValueError(
            f"data.source has training examples of one class only ({name}), expected at least two"
        )
    if config.normalize and preprocessing.kind != "tokens":
        mean, scale = _moments(train.inputs)
        preprocessing = dataclasses.replace(preprocessing, mean=mean, scale=scale)
    return Dataset(
        train=train,
        validation=examples.take(rows.validation) if validation is None else validation,
        test=examples.take(rows.test) if test is None else test,
        class_names=tuple(class_names),
        preprocessing=preprocessing,
        ids=Splits(
            rows.train,
            rows.validation if validation is None else np.arange(len(validation.labels)),
            rows.test if test is None else np.arange(len(test.labels)),
        ),
    )


def scale_of(inputs: Any) -> tuple[float, ...]:
    """What stored inputs are divided by: 255 for uint8, 1 for floating point."""
    return (255.0,) if inputs.dtype == np.uint8 else (1.0,)


def _moments(inputs: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, read a thousand inputs at a time."""
    channels = inputs.shape[-1]
    total, squares, count = np.zeros(channels), np.zeros(channels), 0
    for start in range(0, len(inputs), 1000):
        part = np.asarray(inputs[np.arange(start, min(start + 1000, len(inputs)))], np.float64)
        rows = part.reshape(-1, channels)
        total, squares, count = total + rows.sum(axis=0), squares + (rows**2).sum(axis=0), count + len(rows)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return tuple(mean.tolist()), tuple(np.where(deviation > 0, deviation, 1).tolist())
