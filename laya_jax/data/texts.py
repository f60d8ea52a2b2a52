"""Texts and labels from table files."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig, path_of
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, Unlabelled, make_dataset
from laya_jax.data.encoder import Encoded, TextEncoder
from laya_jax.data.labels import classes_of, labels_among
from laya_jax.data.splits import Splits
from laya_jax.data.tables import Table, as_columns, read_table
from laya_jax.data.vocabulary import Vocabulary
from laya_jax.data.words import Segmentation, without_breaks


def load_texts(config: DataConfig, encoder: TextEncoder | None = None) -> Dataset:
    """Reads a file of texts and labels. Texts without a label are skipped and counted.

    Args:
      config: Configuration of the data.
      encoder: Tokenizer of a pretrained model; None builds a vocabulary from the training split.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read (the message names the line), or its labels are not classes.
    """
    table, texts = read_texts(path_of(config.source), config)
    values = table.column(config.label_column, "data.label_column")
    labels, class_names, notes = classes_of(values, f"labels of {table.path}", table.place)
    rows = np.flatnonzero(labels >= 0)
    return make_text_dataset(
        [texts[row] for row in rows],
        labels[rows],
        None,
        class_names,
        config,
        encoder,
        ids=Splits(rows, rows[:0], rows[:0]),
        notes=(*_unread(table), *notes),
    )


def make_text_dataset(
    texts: Sequence[str],
    labels: NDArray,
    test: tuple[Sequence[str], NDArray] | None,
    class_names: Sequence[str],
    config: DataConfig,
    encoder: TextEncoder | None = None,
    segmentation: Segmentation = "unicode",
    ids: Splits[NDArray] | None = None,
    notes: Iterable[str] = (),
) -> Dataset:
    """Splits and encodes texts.

    Args:
      texts: Texts to split, without those of the source's test split.
      labels: Labels of the texts, [N].
      test: Texts and labels of the test split; None if the source has none.
      class_names: Names of the classes, by label.
      config: Configuration of the data.
      encoder: Tokenizer of a pretrained model; None builds a vocabulary from the training split.
      segmentation: Word segmentation of the vocabulary.
      ids: Ids of the texts, as for ``make_dataset``.
      notes: Notes on data that the reader skipped, changed or found suspicious.
    """
    preprocessing = Preprocessing("tokens", (config.max_length,))
    examples, apart = Examples(_as_array(texts), labels), test and Examples(_as_array(test[0]), test[1])
    dataset = make_dataset(examples, apart, class_names, preprocessing, config, ids=ids, notes=notes)
    known = encoder or Vocabulary.of_texts(dataset.train.inputs, config.vocabulary_size, segmentation)
    read: list[Encoded] = []

    def encode(texts: NDArray) -> NDArray:
        read.append(known.read(texts.tolist(), config.max_length, config.keep))
        return read[-1].numbers

    encoded = dataset.with_inputs(encode)
    notes = (*dataset.notes, *_hard_to_read(read, known, config))
    return dataclasses.replace(encoded, encoder=known, notes=notes)


def read_unlabelled_texts(
    path: Path,
    class_names: Sequence[str],
    encoder: TextEncoder,
    config: DataConfig,
    *,
    labelled: bool = False,
) -> Unlabelled:
    """Reads texts to evaluate or predict in the same way as those of a run.

    Args:
      path: Path of the file.
      class_names: Names of the model's classes.
      encoder: Encoder of the model.
      config: Configuration of the model's training data.
      labelled: True if labels are required, for evaluation. Otherwise, if labels are missing or are not
        classes of the model, no labels are used, and a note says so.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read (the message names the line), or required labels are missing.
    """
    table, texts = read_texts(path, config)
    labels, notes = _known_labels(table, class_names, config.label_column, labelled)
    found = encoder.read(texts, config.max_length, config.keep)
    notes = (*_unread(table), *notes, *_hard_to_read([found], encoder, config))
    return Unlabelled(found.numbers, tuple(map(str, range(len(texts)))), labels, notes=notes)


def read_texts(path: Path, config: DataConfig) -> tuple[Table, list[str]]:
    """Reads a table and its texts, with HTML line breaks replaced by spaces.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read (the message names the line), or one of its texts is not a string.
    """
    table = read_table(path, (config.text_column, config.label_column))
    texts = table.column(config.text_column, "data.text_column")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"{path}, {table.place(row)}: {config.text_column!r} is {str(text)[:60]}, expected a text"
            )
    return table, [without_breaks(str(text)) for text in texts]


def _known_labels(
    table: Table, class_names: Sequence[str], name: str, labelled: bool
) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Reads the labels of a table, if all of them are known, and notes."""
    if not labelled and name not in table.values:
        return None, ()
    values, where = table.column(name, "data.label_column"), f"labels of {table.path}"
    try:
        labels, notes = labels_among(values, class_names, where, table.place)
    except ValueError as error:
        if labelled:
            raise
        return None, (f"{error}; no labels are used",)
    if labelled and labels is None:
        raise ValueError("; ".join(notes) or f"{where} are missing, expected one for each text")
    return labels, notes


def _as_array(texts: Sequence[str]) -> NDArray:
    """Converts texts to an object array, which can be indexed by rows."""
    return np.array([*texts, None], object)[:-1]


def _unread(table: Table) -> Iterator[str]:
    if table.unread:
        yield f"columns of {table.path} that are not used: {as_columns(table.unread)}"


def _hard_to_read(read: Sequence[Encoded], encoder: TextEncoder, config: DataConfig) -> Iterator[str]:
    """Yields notes on texts that are truncated, mostly unknown or empty."""
    total, unit = sum(len(each.numbers) for each in read), encoder.UNIT
    cut, unknown, empty = (sum(getattr(each, what) for each in read) for what in ("cut", "unknown", "empty"))
    part = "first" if config.keep == "start" else "last"
    if cut:
        yield (
            f"{cut:,} of {total:,} texts are longer than {config.max_length} {unit} and were cut to their "
            f"{part} {config.max_length} (data.max_length, data.keep)"
        )
    if unknown:
        yield f"{unknown:,} of {total:,} texts consist mostly of unknown {unit}"
    if empty:
        yield f"{empty:,} of {total:,} texts have no {unit}"
