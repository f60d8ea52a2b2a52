"""Texts and their labels, of a table in a file."""

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
    """Reads a file of texts and labels. Texts without a label are left out and counted.

    Args:
      config: Configuration of the data.
      encoder: Tokenizer of a pretrained model; None makes a vocabulary of the training split.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It cannot be read, naming the line, or its labels are no classes.
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
    """Splits texts, and encodes all of them.

    Args:
      texts: Texts that are not set apart for testing.
      labels: Their labels, [N].
      test: Texts and labels of the test split, if the source has one.
      class_names: Names of the classes, by label.
      config: Configuration of the data.
      encoder: Tokenizer of a pretrained model; None makes a vocabulary of the training split.
      segmentation: Rules by which this vocabulary splits texts into words.
      ids: Ids of the texts, as ``make_dataset`` takes them.
      notes: Sentences on what the reader left out, changed or found odd.
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
    """Reads texts to evaluate or predict as those of a run were read.

    Args:
      path: Path of the file.
      class_names: Names of the model's classes.
      encoder: Encoder of the model.
      config: Configuration of the data that the model was trained on.
      labelled: True if the labels are needed, to test on. Otherwise labels that are missing, or none of the
        model's classes, are told in a note, and none is used.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It cannot be read, naming the line, or labels that are needed are not there.
    """
    table, texts = read_texts(path, config)
    labels, notes = _known_labels(table, class_names, config.label_column, labelled)
    found = encoder.read(texts, config.max_length, config.keep)
    notes = (*_unread(table), *notes, *_hard_to_read([found], encoder, config))
    return Unlabelled(found.numbers, tuple(map(str, range(len(texts)))), labels, notes=notes)


def read_texts(path: Path, config: DataConfig) -> tuple[Table, list[str]]:
    """Reads a table and its texts, with blanks in place of HTML's line breaks.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It cannot be read, naming the line, or one of its texts is no text.
    """
    table = read_table(path, (config.text_column, config.label_column))
    texts = table.column(config.text_column, "data.text_column")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"{path}, {table.place(row)}: {config.text_column!r} is {str(text)[:60]}, expected a text"
            )
    return table, [without_breaks(text) for text in texts]


def _known_labels(
    table: Table, class_names: Sequence[str], name: str, labelled: bool
) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Labels of a table, if all of them are known, and notes."""
    if not labelled and name not in table.values:
        return None, ()
    values, where = table.column(name, "data.label_column"), f"labels of {table.path}"
    try:
        labels, notes = labels_among(values, class_names, where, table.place)
    except ValueError as error:
        if labelled:
            raise
        return None, (f"{error}; none of the labels is used",)
    if labelled and labels is None:
        raise ValueError("; ".join(notes) or f"{where} are missing, expected one for each text")
    return labels, notes


def _as_array(texts: Sequence[str]) -> NDArray:
    """Texts as an array of objects, of which rows can be taken."""
    return np.array([*texts, None], object)[:-1]


def _unread(table: Table) -> Iterator[str]:
    if table.unread:
        yield f"columns of {table.path} that are not read: {as_columns(table.unread)}"


def _hard_to_read(read: Sequence[Encoded], encoder: TextEncoder, config: DataConfig) -> Iterator[str]:
    """Tells of texts of which a model sees a part, or nothing."""
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
