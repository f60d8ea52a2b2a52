"""``data.json``: the record of a model's data, next to the vocabulary or tokenizer of texts."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from laya_jax.checks import check_count
from laya_jax.data import VERSION, Dataset, Preprocessing, Schema, Tokenizer, Vocabulary
from laya_jax.engine import Config, read_record
from laya_jax.files import read_text, write_json, write_text

DATA = "data.json"

ENCODERS = (Vocabulary, Tokenizer)
"""Text encoders, each saved in its own file."""

LARGEST_INPUT = 2**31
"""Maximum number of elements of one input."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataRecord:
    """Content of ``data.json``.

    Attributes:
      class_names: Names of the classes, by label.
      preprocessing: Preprocessing from stored inputs to model inputs.
      dtype: Dtype of stored inputs; None in a file of an earlier version.
      fingerprint: Checksum of the training data; None in a file of an earlier version.
      version: Version of the code that read and split the data.
      examples: Number of examples of each class, by label, in each split.
      notes: Notes on data that the reader skipped, changed or found suspicious.
      warnings: Caveats about the parameters of an exported model.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    dtype: str | None = None
    fingerprint: int | None = None
    version: int = 1
    examples: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.version > VERSION:
            raise ValueError(f"version is {self.version}, expected at most {VERSION}")
        if not self.class_names:
            raise ValueError("class_names is empty, expected at least one")
        _check_preprocessing(self.preprocessing)


def write_schema(directory: Path, schema: Schema, **known: Any) -> None:
    """Writes the record of a model's data.

    Args:
      directory: Path of the run directory or of the exported model.
      schema: Schema of the data.
      known: Further fields of the record.
    """
    record = DataRecord(
        class_names=schema.class_names, preprocessing=schema.preprocessing, dtype=schema.dtype, **known
    )
    write_json(directory / DATA, dataclasses.asdict(record))
    if schema.encoder is not None:
        write_text(directory / schema.encoder.FILE, schema.encoder.to_text())


def read_data(directory: Path) -> DataRecord:
    """Reads the record that ``write_schema`` wrote."""
    return read_record(DataRecord, directory / DATA)


def read_schema(directory: Path) -> Schema:
    """Reads the schema that ``write_schema`` wrote.

    Raises:
      ValueError: The file is damaged; the message names it.
    """
    record = read_data(directory)
    paths = {kind: directory / kind.FILE for kind in ENCODERS if (directory / kind.FILE).exists()}
    encoder = next((kind.from_text(read_text(path)) for kind, path in paths.items()), None)
    return Schema(record.class_names, record.preprocessing, encoder, record.dtype)


def class_counts(dataset: Dataset) -> dict[str, tuple[int, ...]]:
    """Counts the examples of each class, by label, in each split."""
    number = len(dataset.class_names)
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        name: tuple(np.bincount(split.labels, minlength=number).tolist()) for name, split in splits.items()
    }


def check_same_data(
    config: Config, known: int | None, version: int, found: int, *, model: str, otherwise: str
) -> None:
    """Checks that the data of a config are a model's training data, if their fingerprint is known.

    Args:
      config: Config of the model.
      known: Fingerprint of the training data; None if unknown.
      version: Version of the code that read and split the training data.
      found: Fingerprint of the data as read now.
      model: Name of the model, for the message.
      otherwise: Message if the data have changed.
    """
    if known == found:
        return
    if version < 2 and config.data.split == "shuffled":
        raise ValueError(
            f"{model} was trained by an earlier version, whose shuffled splits were not stratified by class; "
            "train it again to evaluate it on its splits; predict, and evaluate with --data, still work"
        )
    if known is not None:
        raise ValueError(otherwise)


def _check_preprocessing(preprocessing: Preprocessing) -> None:
    shape, mean, scale = preprocessing.shape, preprocessing.mean, preprocessing.scale
    if not shape:
        raise ValueError("preprocessing.shape is empty, expected at least one axis")
    for index, size in enumerate(shape):
        check_count(f"preprocessing.shape[{index}]", size)
    if math.prod(shape) > LARGEST_INPUT:
        raise ValueError(f"preprocessing.shape is {shape}, expected at most {LARGEST_INPUT:,} numbers")
    channels = (1, 3) if shape[-1] == 1 else (1, shape[-1])  # a pretrained model reads grey images as RGB
    for name, values in (("mean", mean), ("scale", scale)):
        if len(values) not in channels or not all(map(math.isfinite, values)) or not all(scale):
            raise ValueError(
                f"preprocessing.{name} is {list(values)[:3]}, expected a finite number, or one for each of "
                f"{shape[-1]} channels, and no scale of 0"
            )
