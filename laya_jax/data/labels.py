"""Conversion of raw labels to classes, for all sources."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.class_names import NUMBER, WHOLE, class_name, clean, listed, natural, quoted, whole_number
from laya_jax.data.label_notes import label_notes, missing_notes

FEW = 10
"""Number of single-example classes up to which labels are not mistaken for identifiers in small data."""

Place = Callable[[int], str]


class Labels(NamedTuple):
    """Integer labels.

    Attributes:
      labels: Class of every example, [N] of int32; -1 for a missing label, whose example the reader has to
        skip.
      class_names: Names of the classes, by label.
      notes: Notes on labels that are missing, were merged into one class, or look alike.
    """

    labels: NDArray[np.int32]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def row_place(row: int) -> str:
    """Describes the position of an example in a source without lines, counted from 0."""
    return f"row {row}"


def classes_of(values: Iterable[object], where: str, place: Place = row_place) -> Labels:
    """Determines the classes of training labels, in natural order: numbers by value, then words.

    Leading and trailing white space is stripped, and "1.0" is the class "1", since pandas writes integers as
    floats in a column with missing values.

    Args:
      values: Label of every example: a string, a number, a boolean or None.
      where: Description of the labels for messages, such as "labels of reviews.csv".
      place: Function that describes the position of a row, such as "line 7".

    Raises:
      ValueError: There are no labels, they look like a regression target or like identifiers, or an example
        has several labels.

    >>> classes_of(["pos", "neg ", "", "neg"], "labels of reviews.csv")[:2]
    (array([ 1,  0, -1,  0], dtype=int32), ('neg', 'pos'))
    >>> classes_of(["10", "1.0", None, 9], "labels of reviews.csv").class_names
    ('1', '9', '10')
    """
    values = list(values)
    texts = [_text(value, where, place, row) for row, value in enumerate(values)]
    distinct = dict.fromkeys(text for text in texts if text is not None)  # in order, unlike a set
    if not distinct:
        raise ValueError(f"{where} are missing, expected one label per example")
    numbers = [text for text in distinct if NUMBER.fullmatch(text)]
    all_whole = all(WHOLE.fullmatch(text) for text in numbers)
    if len(numbers) == len(distinct) and not all_whole:
        _refuse_regression(numbers, where)
    names = {text: whole_number(text) if all_whole else text for text in distinct}
    class_names = tuple(sorted(set(names.values()), key=natural))
    number = {name: index for index, name in enumerate(class_names)}
    labels = np.array([-1 if text is None else number[names[text]] for text in texts], np.int32)
    _refuse_identifiers(labels, class_names, where)
    return Labels(labels, class_names, tuple(label_notes(values, labels, class_names, where)))


def labels_of(
    values: Iterable[object], class_names: Sequence[str], where: str, place: Place = row_place
) -> Labels:
    """Converts labels of held-out data with the classes of the training data.

    Args:
      values: Label of every example, as in ``classes_of``.
      class_names: Names of the classes, by label.
      where: Description of the labels for messages.
      place: Function that describes the position of a row.

    Raises:
      ValueError: A label is not one of the classes; the message names it and its position.

    >>> labels_of([1.0, "0", None], ("0", "1"), "test labels of reviews.csv").labels
    array([ 1,  0, -1], dtype=int32)
    """
    exact = {name: index for index, name in enumerate(class_names)}
    cleaned = {whole_number(clean(name)): index for name, index in reversed(exact.items())}
    values, labels = list(values), []
    for row, value in enumerate(values):
        text = _text(value, where, place, row)
        if text is None and isinstance(value, str) and clean(value) in exact:
            text = clean(value)  # one of the model's classes, although it looks like a missing label
        label = -1 if text is None else exact.get(text, cleaned.get(whole_number(text)))
        if label is None:
            raise ValueError(
                f"{where} hold {quoted(str(text))} ({place(row)}), expected one of "
                f"{listed(map(quoted, class_names))}"
            )
        labels.append(label)
    found = np.array(labels, np.int32)
    return Labels(found, tuple(class_names), tuple(missing_notes(values, found, where)))


def labels_among(
    values: Iterable[object], class_names: Sequence[str], where: str, place: Place = row_place
) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Converts labels of data to evaluate or predict, which are used only if none is missing.

    Args:
      values: Label of every example, as in ``classes_of``.
      class_names: Names of the model's classes.
      where: Description of the labels for messages.
      place: Function that describes the position of a row.

    Returns:
      Labels [N] of int32, or None if any is missing; and notes if only some are missing.

    Raises:
      ValueError: A label is not one of the model's classes; the message names it and its position.

    >>> labels_among([1.0, "0"], ("0", "1"), "labels of reviews.csv")
    (array([1, 0], dtype=int32), ())
    """
    labels = labels_of(values, class_names, where, place).labels
    missing = int((labels < 0).sum())
    if not missing:
        return labels, ()
    if missing == len(labels):
        return None, ()
    return None, (f"{missing:,} of {len(labels):,} {where} are missing, so no labels are used",)


def _text(value: object, where: str, place: Place, row: int) -> str | None:
    try:
        return class_name(value)
    except ValueError as error:
        raise ValueError(f"{where}, {place(row)}: the label is {error}") from None


def _refuse_regression(numbers: Sequence[str], where: str) -> None:
    fractions = [text for text in numbers if not WHOLE.fullmatch(text)]
    raise ValueError(
        f"{where} hold fractional numbers ({listed(fractions, 3)}), which look like a regression target, "
        "expected classes: only single-label classification is supported (if they are classes, give them "
        "names, such as 'v1.5')"
    )


def _refuse_identifiers(labels: NDArray[np.int32], class_names: Sequence[str], where: str) -> None:
    counts = np.bincount(labels[labels >= 0])
    alone = [class_names[label] for label in np.flatnonzero(counts == 1).tolist()]
    if len(alone) > max(FEW, counts.sum() / 2):
        raise ValueError(
            f"{where} hold {len(class_names):,} classes, {len(alone):,} of them with only one example "
            f"({listed(map(quoted, alone), 3)}), which look like identifiers or a regression target, "
            "expected several examples for each class"
        )
