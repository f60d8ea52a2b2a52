"""Texts of a .csv file with the columns text and label, or of a .jsonl file with these fields."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig, path_of
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, Unlabelled, make_dataset
from laya_jax.data.vocabulary import TextEncoder, Vocabulary, without_breaks


def load_texts(config: DataConfig, encoder: TextEncoder | None = None) -> Dataset:
    """Reads a file of texts and labels.

    Args:
      config: which one, and how.
      encoder: of a pretrained model; None makes a vocabulary of the training split.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it cannot be read, naming the line, or a text has no label.
    """
    path = path_of(config.source)
    texts, labels = read_texts(path)
    if any(label is None for label in labels):
        raise ValueError(f"{path} has texts without a label, expected one for each")
    class_names = tuple(sorted({str(label) for label in labels}, key=_natural))
    of_name = {name: number for number, name in enumerate(class_names)}
    numbers = np.array([of_name[str(label)] for label in labels], np.int32)
    return make_text_dataset(texts, numbers, None, class_names, config, encoder)


def make_text_dataset(
    texts: Sequence[str],
    labels: NDArray,
    test: tuple[Sequence[str], NDArray] | None,
    class_names: Sequence[str],
    config: DataConfig,
    encoder: TextEncoder | None = None,
) -> Dataset:
    """Splits texts, and encodes all of them.

    Args:
      texts: those not set apart for testing.
      labels: of them, [N].
      test: texts and labels of the test split, if there is one.
      class_names: by label.
      config: of the data.
      encoder: of a pretrained model; None makes a vocabulary of the training split.
    """
    preprocessing = Preprocessing("tokens", (config.max_length,))

    def examples(texts: Sequence[str], labels: NDArray) -> Examples:
        return Examples(np.array([*texts, None], object)[:-1], labels)

    dataset = make_dataset(
        examples(texts, labels), examples(*test) if test else None, class_names, preprocessing, config
    )
    known = encoder or Vocabulary.of_texts(dataset.train.inputs, config.vocabulary_size)
    dataset = dataset.with_inputs(lambda texts: known.encode(texts, config.max_length, config.keep))
    return dataclasses.replace(dataset, encoder=known)


def read_unlabelled_texts(
    path: Path, class_names: Sequence[str], encoder: TextEncoder, config: DataConfig
) -> Unlabelled:
    """Texts to predict, encoded as a run's were; labels where all of them have one."""
    texts, names = read_texts(path)
    labels = None
    if all(name is not None for name in names):
        labels = np.array([_label(str(name), class_names, path) for name in names], np.int32)
    inputs = encoder.encode(texts, config.max_length, config.keep)
    return Unlabelled(inputs, tuple(map(str, range(len(texts)))), labels)


def read_texts(path: Path) -> tuple[list[str], list[Any]]:
    """Texts of a file without HTML's line breaks, and their labels, None where there is none.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it cannot be read, naming the line.
    """
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(f"{path} is of kind {path.suffix!r}, expected '.csv' or '.jsonl'")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        content = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8: {error.reason} at byte {error.start}") from error
    rows = list((_csv_rows if path.suffix == ".csv" else _json_rows)(path, content))
    if not rows:
        raise ValueError(f"{path} has no texts")
    for line, row in rows:
        if not isinstance(row.get("text"), str):
            raise ValueError(f"{path}, line {line}: there is no text, expected the fields text and label")
    return [without_breaks(row["text"]) for _, row in rows], [
        None if row.get("label") in (None, "") else row["label"] for _, row in rows
    ]


def _csv_rows(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    if "text" not in (reader.fieldnames or ()):
        raise ValueError(f"{path} has the columns {reader.fieldnames}, expected text and label")
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _json_rows(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: expected an object with text and label")
        yield number, row


def _label(name: str, class_names: Sequence[str], path: Path) -> int:
    if name not in class_names:
        raise ValueError(
            f"{path} has the label {name!r}, expected one of {', '.join(map(repr, class_names))}"
        )
    return class_names.index(name)


def _natural(name: str) -> tuple[int, int, str]:
    """Numbers by value, before names by alphabet: a label 10 comes after 9."""
    return (0, int(name), "") if name.isdecimal() else (1, 0, name)
