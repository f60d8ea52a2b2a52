"""Inputs and labels in .npz files, under any of the usual names and in any of the usual forms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.archive import array_names, read_npz
from laya_jax.data.array_names import EXPECTED, arrays_named, ignored_notes
from laya_jax.data.class_names import listed, plain
from laya_jax.data.config import DataConfig, path_of
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, Unlabelled, make_dataset, scale_of
from laya_jax.data.label_arrays import are_numbers, label_values, named_values, read_class_names
from laya_jax.data.labels import classes_of, labels_among, labels_of
from laya_jax.data.moments import imprecise_channels
from laya_jax.data.splits import Splits

CHANNELS = (1, 3, 4)
"""Possible numbers of image channels: grey, RGB and RGBA."""


def load_npz(config: DataConfig) -> Dataset:
    """Loads a data set from a .npz file.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read, or its arrays do not match.
    """
    file = _File(path_of(config.source))
    train = file.part("train")
    validation, test = (
        file.part(split, train) if file.names.parts[split].inputs else None
        for split in ("validation", "test")
    )
    parts = Splits(train, validation, test)
    inputs = train.examples.inputs
    shape, kind = inputs.shape[1:], _kind(inputs)
    notes = [*file.notes, *(note for part in parts if part for note in part.notes)]
    return make_dataset(
        train.examples,
        test and test.examples,
        train.class_names,
        Preprocessing(kind, shape, scale=scale_of(inputs)),
        config,
        validation and validation.examples,
        ids=Splits(*(part.rows if part else np.arange(0) for part in parts)),
        notes=dict.fromkeys(notes),
    )


def read_unlabelled_npz(path: Path, class_names: Sequence[str]) -> Unlabelled:
    """Reads inputs to predict: the test inputs, if the file has any, with labels if available."""
    file = _File(path)
    of_inputs, of_labels = next(
        part for split in ("test", "train", "validation") if (part := file.names.parts[split]).inputs
    )
    inputs, notes = file.inputs(str(of_inputs))
    labels: NDArray | None = None
    more: tuple[str, ...] = ()
    if of_labels:
        values, where = file.labels(of_labels, len(inputs)), file.where(of_labels)
        if not file.class_names and are_numbers(values) and not are_numbers(class_names):
            values = named_values(values, class_names, where)
            notes = (*notes, f"{where} are read as indices of the model's classes, counted from 0")
        labels, more = labels_among(values, class_names, where)
    ids = tuple(map(str, range(len(inputs))))
    return Unlabelled(inputs, ids, labels, of_inputs, (*file.notes, *notes, *more))


class _Part(NamedTuple):
    """Labelled examples of a split, their rows in the file, and notes."""

    examples: Examples
    rows: NDArray
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


class _File:
    """A .npz file whose arrays are read on demand.

    Attributes:
      path: Path of the file.
      names: Names of the arrays, by role.
      class_names: Names of the classes, by label; empty if the file has none.
      notes: Notes on ignored arrays.
    """

    def __init__(self, path: Path) -> None:
        found = array_names(path)
        self.path, self.names = path, arrays_named(found)
        if not any(part.inputs for part in self.names.parts.values()):
            raise ValueError(f"{path} has the arrays {listed(map(plain, found))}, {EXPECTED}")
        self.notes = tuple(ignored_notes(self.names, str(path)))
        self.class_names: tuple[str, ...] = ()
        if name := self.names.class_names:
            self.class_names = read_class_names(self._array(name), self.where(name))

    def part(self, split: str, train: _Part | None = None) -> _Part:
        """Reads the examples of a split; held-out ones must be consistent with the training split."""
        inputs_name, labels_name = self.names.parts[split]
        if inputs_name is None or labels_name is None:
            missing = "inputs" if inputs_name is None else f"labels for {inputs_name}"
            raise ValueError(f"{self.path} has no {missing} ({split} split), {EXPECTED}")
        inputs, notes = self.inputs(inputs_name)
        if train is not None:
            _check_alike(inputs, train.examples.inputs, self.where(inputs_name))
        values, where = self.labels(labels_name, len(inputs)), self.where(labels_name)
        class_names = train.class_names if train else self.class_names
        labels = labels_of(values, class_names, where) if class_names else classes_of(values, where)
        rows = np.flatnonzero(labels.labels >= 0)
        examples = Examples(inputs, labels.labels)
        examples = examples if len(rows) == len(inputs) else examples.take(rows)
        return _Part(examples, rows, labels.class_names, (*notes, *labels.notes))

    def inputs(self, name: str) -> tuple[NDArray, tuple[str, ...]]:
        """Reads stored inputs, and notes."""
        return read_inputs(self._array(name), self.where(name))

    def labels(self, name: str, examples: int) -> list[object]:
        """Reads raw labels, replaced by class names if the file has them."""
        values = label_values(self._array(name), examples, self.where(name))
        return named_values(values, self.class_names, self.where(name)) if self.class_names else values

    def where(self, name: str) -> str:
        """Describes an array for messages."""
        return f"{name} of {self.path}"

    def _array(self, name: str) -> NDArray:
        return read_npz(self.path, [name])[name]


def read_inputs(array: NDArray, where: str) -> tuple[NDArray, tuple[str, ...]]:
    """Converts an array to stored inputs, channels last, in uint8 or float32; and returns notes.

    Raises:
      ValueError: The array is not numeric, or has values that float32 cannot represent.
    """
    if array.ndim < 2 or not array.size or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{where} has shape {array.shape} and dtype {array.dtype}, expected numbers "
            "[examples, features] or [examples, height, width, channels]"
        )
    array, notes = _channels_last(array, where)
    if array.dtype == np.uint8:
        return array, notes
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        too_large = " in float32" if np.isfinite(array).all() else ""
        raise ValueError(f"{where} holds values that are not finite{too_large}, expected numbers")
    if channels := imprecise_channels(array, values):
        notes = (
            *notes,
            f"{where} loses precision in float32 in columns {listed(map(str, channels))}: subtract an offset",
        )
    return values, notes


def _channels_last(array: NDArray, where: str) -> tuple[NDArray, tuple[str, ...]]:
    """Moves or adds the channel axis of images last, and returns notes on the change."""
    if array.ndim == 3 and array.dtype == np.uint8:
        return array[..., None], ()
    if array.ndim != 4:
        return array, ()
    first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
    if last and not first:
        return array, ()
    axis = "first" if first and not last else "last"
    shape = ", ".join(map(str, array.shape[1:]))
    note = f"{where} has shape [N, {shape}]; the {axis} axis of each example is read as its channels"
    return np.ascontiguousarray(np.moveaxis(array, 1, 3)) if axis == "first" else array, (note,)


def _kind(inputs: NDArray) -> Literal["images", "features"]:
    return "images" if inputs.ndim == 4 else "features"


def _check_alike(inputs: NDArray, train: NDArray, where: str) -> None:
    if inputs.shape[1:] != train.shape[1:]:
        raise ValueError(f"{where} has inputs of shape {inputs.shape[1:]}, expected {train.shape[1:]}")
    if inputs.dtype != train.dtype:
        raise ValueError(f"{where} has inputs of dtype {inputs.dtype}, expected {train.dtype}")
