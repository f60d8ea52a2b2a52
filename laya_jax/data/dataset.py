"""Examples in three splits, as every source gives them, and their preprocessing into a model's inputs."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig
from laya_jax.data.coverage import check_trained, coverage_notes, without_untrained
from laya_jax.data.duplicates import duplicates, keys_of
from laya_jax.data.encoder import TextEncoder
from laya_jax.data.moments import moments
from laya_jax.data.splits import Splits, split_rows
from laya_jax.typing import Array


class Examples(NamedTuple):
    """Inputs and their labels.

    Attributes:
      inputs: Stored inputs [N, ...]: uint8 images [N, H, W, C], features [N, D] or tokens [N, T] of int32; an
        array, or something that reads its rows from files when they are asked for.
      labels: Labels [N] of int32.
    """

    inputs: Any
    labels: Any

    def take(self, rows: NDArray | slice) -> "Examples":
        """Some of the examples."""
        return Examples(self.inputs[rows], self.labels[rows])


class Unlabelled(NamedTuple):
    """Examples to predict.

    Attributes:
      inputs: Stored inputs, as in ``Examples``.
      ids: Names of files, or numbers of rows.
      labels: Labels [N] of int32, if they are known.
      part: Name of the part of their source that they are, such as an array of a file or a split; None if
        they are all of it.
      notes: Sentences on what the reader left out, changed or found odd, for people; each is shown once.
    """

    inputs: Any
    ids: tuple[str, ...]
    labels: NDArray | None
    part: str | None = None
    notes: tuple[str, ...] = ()

    def named(self, source: str) -> str:
        """Name of the source and the part of it that was read, for people.

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
      kind: Kind of input; hidden states are those of a frozen backbone.
      shape: Shape of one stored input.
      mean: Mean of each channel (last axis), or one for all.
      scale: Scale of each channel, or one for all.
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
        """The preprocessing of which ``dataclasses.asdict`` made these values."""
        tuples = {name: tuple(values[name]) for name in ("shape", "mean", "scale")}
        return cls(kind=values["kind"], **tuples)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set, split.

    Attributes:
      train: Examples to train on.
      validation: Examples that choose the best epoch.
      test: Examples to report on.
      class_names: Names of the classes, by label. All of them have training examples.
      preprocessing: Preprocessing of stored inputs into a model's.
      encoder: Encoder that turned texts into numbers; None if the inputs are not texts.
      ids: Names of the examples in their source: files, or numbers of rows, from 0 on in each part that the
        source sets apart; None if there is no source.
      notes: Sentences on what the reader left out, changed or found odd, for people; each is shown once.
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
        """Number of examples of each class, over all splits."""
        labels = np.concatenate([split.labels for split in (self.train, self.validation, self.test)])
        return tuple(np.bincount(labels, minlength=len(self.class_names)).tolist())

    def with_inputs(self, change: Callable[[Any], Any]) -> "Dataset":
        """The same data set with the inputs of each split as ``change`` makes them."""
        train, validation, test = (
            Examples(change(split.inputs), split.labels) for split in (self.train, self.validation, self.test)
        )
        return dataclasses.replace(self, train=train, validation=validation, test=test)


class Schema(NamedTuple):
    """Knowledge that a model has of its data.

    Attributes:
      class_names: Names of the classes, by label.
      preprocessing: Preprocessing of stored inputs into the model's.
      encoder: Encoder that turns texts into numbers; None if the inputs are not texts.
      dtype: Type of stored inputs, which decides their scale; None if the model was saved before that was
        written.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    encoder: TextEncoder | None
    dtype: str | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> "Schema":
        """The schema of a data set."""
        dtype = str(dataset.train.inputs.dtype)
        return cls(dataset.class_names, dataset.preprocessing, dataset.encoder, dtype)

    def text_encoder(self) -> TextEncoder:
        """Encoder that turns texts into numbers.

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
    """Splits a source's examples, and measures what normalises them on the training split.

    Args:
      examples: Examples that the source does not set apart.
      test: Examples that it sets apart for testing; None holds some of the others out.
      class_names: Names of the classes, by label. A class without training examples is left out.
      preprocessing: Preprocessing that turns stored inputs into a model's.
      config: Settings that say how to split, and whether to normalise.
      validation: Examples set apart to choose the best epoch; None holds some of the others out.
      ids: Ids of ``examples``, ``validation`` and ``test``, in this order; None numbers their rows.
      notes: Sentences on what the reader left out, changed or found odd.

    Raises:
      ValueError: There are too few examples, training examples of one class only, or held-out examples of a
        class that has none to train on.
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


def scale_of(inputs: Any) -> tuple[float, ...]:
    """Number that stored inputs are divided by: 255 for uint8, 1 for floating point."""
    return (255.0,) if inputs.dtype == np.uint8 else (1.0,)


def _normalizes(config: DataConfig, preprocessing: Preprocessing, dtype: Any) -> bool:
    """Decides whether to normalise: by default, all but images of bytes, whose scale is known."""
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
    """Ids of the examples of each split: those of the rows that were cut, or its own if it is set apart."""
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
    """Notes on copies among examples in memory; of files, their reader tells."""
    if all(isinstance(split.inputs, np.ndarray) for split in splits):
        yield from duplicates(Splits(*(keys_of(split.inputs) for split in splits)), labels)
