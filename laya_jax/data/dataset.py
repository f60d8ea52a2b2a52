"""Data set of examples in three splits, common to all sources, and the preprocessing of model inputs."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig
from laya_jax.data.coverage import check_trained, coverage_notes, without_untrained
from laya_jax.data.duplicates import duplicates, keys_of
from laya_jax.data.encoder import TextEncoder
from laya_jax.data.moments import moments
from laya_jax.data.rows import Rows
from laya_jax.data.splits import Splits, split_rows
from laya_jax.typing import Array, JsonObject


class Examples(NamedTuple):
    """Inputs and their labels.

    Attributes:
      inputs: Stored inputs [N, ...]: uint8 images [N, H, W, C], features [N, D] or int32 tokens [N, T], as an
        array or as an array-like object that reads rows from files on demand.
      labels: Labels [N] of int32.
    """

    inputs: Any
    labels: Any

    def take(self, rows: NDArray | slice) -> "Examples":
        """Returns the examples at these rows."""
        return Examples(self.inputs[rows], self.labels[rows])


class Unlabelled(NamedTuple):
    """Examples to predict.

    Attributes:
      inputs: Stored inputs, as in ``Examples``.
      ids: File names or row numbers.
      labels: Labels [N] of int32; None if unknown.
      part: Name of the part of the source that was read, such as an array of a file or a split; None if it
        was read completely.
      notes: Notes for the user on data that the reader skipped, changed or found suspicious.
    """

    inputs: Any
    ids: tuple[str, ...]
    labels: NDArray | None
    part: str | None = None
    notes: tuple[str, ...] = ()

    def named(self, source: str) -> str:
        """Formats the name of the source and of the part that was read.

        >>> Unlabelled(np.zeros((2, 3)), ("0", "1"), None, "test_inputs").named("npz:points.npz")
        'npz:points.npz, test_inputs'
        """
        return f"{source}, {self.part}" if self.part else source


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Converts stored inputs to model inputs: ``(inputs - mean) / scale`` in float32; tokens are unchanged.

    >>> preprocessing = Preprocessing("images", (2, 2, 1), scale=(255.0,))
    >>> preprocessing(jnp.full((1, 2, 2, 1), 102, jnp.uint8))[0, 0, 0].round(3)
    Array([0.4], dtype=float32)

    Attributes:
      kind: Kind of input; hidden states come from a frozen backbone.
      shape: Shape of one stored input.
      mean: Mean of each channel (last axis), or a single mean.
      scale: Scale of each channel, or a single scale.
    """

    kind: Literal["images", "features", "tokens", "hidden_states"]
    shape: tuple[int, ...]
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    def __call__(self, inputs: Array) -> Array:
        """Returns model inputs [B, *shape] for stored inputs, which may be flattened."""
        inputs = inputs.reshape(-1, *self.shape)
        if self.kind == "tokens":
            return inputs
        channels = (1,) * (inputs.ndim - 1) + (-1,)
        mean, scale = (
            jnp.asarray(values, jnp.float32).reshape(channels) for values in (self.mean, self.scale)
        )
        return (inputs.astype(jnp.float32) - mean) / scale

    @classmethod
    def from_json(cls, values: JsonObject) -> "Preprocessing":
        """Constructs a preprocessing from the values of ``dataclasses.asdict``."""
        tuples = {name: tuple(values[name]) for name in ("shape", "mean", "scale")}
        return cls(kind=values["kind"], **tuples)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Data set in three splits.

    Attributes:
      train: Training examples.
      validation: Validation examples, used to choose the best epoch.
      test: Test examples.
      class_names: Names of the classes, by label. All of them have training examples.
      preprocessing: Preprocessing from stored inputs to model inputs.
      encoder: Encoder of the texts; None if the inputs are not texts.
      ids: Ids of the examples in their source: file names, or row numbers counted from 0 within each split
        that the source provides; None if there is no source.
      notes: Notes for the user on data that the reader skipped, changed or found suspicious.
    """

    train: Examples
    validation: Examples
    test: Examples
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    encoder: TextEncoder | None = None
    ids: Splits[NDArray] | None = None
    notes: tuple[str, ...] = ()

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Counts the examples of each class, over all splits."""
        labels = np.concatenate([split.labels for split in (self.train, self.validation, self.test)])
        return tuple(np.bincount(labels, minlength=len(self.class_names)).tolist())

    def with_inputs(self, change: Callable[[Any], object]) -> "Dataset":
        """Returns the data set with ``change`` applied to the inputs of each split."""
        train, validation, test = (
            Examples(change(split.inputs), split.labels) for split in (self.train, self.validation, self.test)
        )
        return dataclasses.replace(self, train=train, validation=validation, test=test)


class Schema(NamedTuple):
    """Schema of a model's data.

    Attributes:
      class_names: Names of the classes, by label.
      preprocessing: Preprocessing from stored inputs to model inputs.
      encoder: Encoder of texts; None if the inputs are not texts.
      dtype: Dtype of stored inputs, which determines their scale; None if the model was saved by a version
        that did not record it.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    encoder: TextEncoder | None
    dtype: str | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> "Schema":
        """Returns the schema of a data set."""
        dtype = str(dataset.train.inputs.dtype)
        return cls(dataset.class_names, dataset.preprocessing, dataset.encoder, dtype)

    def text_encoder(self) -> TextEncoder:
        """Returns the encoder of texts.

        Raises:
          ValueError: The inputs are not texts.
        """
        if self.encoder is None:
            raise ValueError(f"inputs are {self.preprocessing.kind}, expected texts")
        return self.encoder


def make_dataset(
    examples: Examples,
    test: Examples | None,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    config: DataConfig,
    validation: Examples | None = None,
    *,
    ids: Splits[NDArray] | None = None,
    notes: Iterable[str] = (),
) -> Dataset:
    """Splits a source's examples, and computes the normalisation on the training split.

    Args:
      examples: Examples to train on, and to take the splits from that the source does not provide.
      test: Test examples of the source; None takes some of ``examples``.
      class_names: Names of the classes, by label. Classes without training examples are removed.
      preprocessing: Preprocessing from stored inputs to model inputs.
      config: Settings of the splits and the normalisation.
      validation: Validation examples of the source; None takes some of ``examples``.
      ids: Ids of ``examples``, ``validation`` and ``test``, in this order; None numbers their rows.
      notes: Notes on data that the reader skipped, changed or found suspicious.

    Raises:
      ValueError: There are too few examples, only one class to train on, or held-out examples of a class
        without training examples.
    """
    apart: Splits[Examples | None] = Splits(None, validation, test)
    rows = split_rows(
        examples.labels, config, has_test=test is not None, has_validation=validation is not None
    )
    splits = Splits(
        *(
            examples.take(chosen) if given is None else given
            for chosen, given in zip(rows, apart, strict=True)
        )
    )
    labels = Splits(*(split.labels for split in splits))
    cut = [name for name in ("validation", "test") if getattr(apart, name) is None]
    check_trained(labels, class_names, cut)
    known, known_names = without_untrained(labels, class_names)
    if _normalizes(config, preprocessing, examples.inputs.dtype):
        mean, scale = moments(splits.train.inputs)
        preprocessing = dataclasses.replace(preprocessing, mean=mean, scale=scale)
    return Dataset(
        train=splits.train._replace(labels=known.train),
        validation=splits.validation._replace(labels=known.validation),
        test=splits.test._replace(labels=known.test),
        class_names=known_names,
        preprocessing=preprocessing,
        ids=_ids(rows, splits, apart, ids),
        notes=(*notes, *coverage_notes(labels, class_names, cut), *_duplicates(splits, labels)),
    )


def scale_of(inputs: Rows) -> tuple[float, ...]:
    """Returns the scale that stored inputs are divided by: 255 for uint8, 1 for floating point."""
    return (255.0,) if inputs.dtype == np.uint8 else (1.0,)


def _normalizes(config: DataConfig, preprocessing: Preprocessing, dtype: np.dtype) -> bool:
    """Returns True if inputs are standardised: by default, all but uint8 images, whose scale is known."""
    if preprocessing.kind == "tokens":
        return False
    if config.normalize is not None:
        return config.normalize
    return preprocessing.kind != "images" or dtype != np.uint8


def _ids(
    rows: Splits[NDArray],
    splits: Splits[Examples],
    apart: Splits[Examples | None],
    ids: Splits[NDArray] | None,
) -> Splits[NDArray]:
    """Returns the ids of each split: of its rows in ``examples``, or its own if the source provides it."""
    if ids is None:
        ids = Splits(*(np.arange(len(split.labels)) for split in splits))
        ids = ids._replace(train=np.arange(sum(map(len, rows))))
    return Splits(
        *(
            ids.train[chosen] if given is None else own
            for chosen, given, own in zip(rows, apart, ids, strict=True)
        )
    )


def _duplicates(splits: Splits[Examples], labels: Splits[NDArray]) -> Iterator[str]:
    """Yields notes on duplicates among examples in memory; for files, their reader does."""
    if all(isinstance(split.inputs, np.ndarray) for split in splits):
        yield from duplicates(Splits(*(keys_of(split.inputs) for split in splits)), labels)
