"""``data.json``: what a model knows of its data, beside the vocabulary or tokenizer of texts."""

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
"""Kinds of what turns texts into numbers, each with a file of its own."""

LARGEST_INPUT = 2**31
"""Numbers of one input, at most."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataRecord:
    """The content of ``data.json``.

    Attributes:
      class_names: Names of the classes, by label.
      preprocessing: Preprocessing that turns stored inputs into the model's.
      dtype: Type of stored inputs; None in a file of an earlier version.
      fingerprint: Checksum of the data that the model was trained on; None in a file of an earlier version.
      version: Version of how the data were read and split.
      examples: Number of examples of each class, by label, in each split.
      notes: Sentences on what the reader of the data left out, changed or found odd.
      warnings: Sentences on how the parameters of an exported model came about.
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
    """Writes what a model knows of its data.

    Args:
      directory: Directory of the run or of the exported model.
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
      ValueError: It is damaged; the message names the file.
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
    """Raises unless the data of a config are those that a model was trained on, as far as that is known.

    Args:
      config: Config of the model.
      known: Fingerprint of the data that it was trained on; None if that is not known.
      version: Version of how these data were read and split.
      found: Fingerprint of the data as they are read now.
      model: Name of the model, for the message.
      otherwise: Message if the data have changed.
    """
    if known == found:
        return
    if version < 2 and config.data.split == "shuffled":
        raise ValueError(
            f"{model} was trained by an earlier version, whose shuffled splits were not stratified by class; "
            "train it again to evaluate it on its splits; predict, and evaluate with --data, go on working"
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
    channels = (1, 3) if shape[-1] == 1 else (1, shape[-1])  # a pretrained model reads grey images as colours
    for name, values in (("mean", mean), ("scale", scale)):
        if len(values) not in channels or not all(map(math.isfinite, values)) or not all(scale):
            raise ValueError(
                f"preprocessing.{name} is {list(values)[:3]}, expected a finite number, or one for each of "
                f"{shape[-1]} channels, and no scale of 0"
            )
