"""Labels as their owners write them, read as classes: the one place where this is decided."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLANKS = (
    "".join(map(chr, range(0x21)))
    + "\x7f\x85\xa0\xad\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
    + "".join(map(chr, range(0x2000, 0x2010)))
)
"""Characters that go at the ends of a label: what Unicode calls white space, and what has no shape."""

MISSING = frozenset({"", "nan", "-nan", "<na>", "nat", "na", "n/a", "#n/a", "null"})
"""Labels, in lower case, that pandas, R, SQL and spreadsheets write where there is none."""

DOUBTFUL = ("None", "?", "-")
"""Labels that are read as classes, but may have been meant as missing ones."""

SHOWN = 5
"""Names that a sentence lists before it says how many more there are."""

FEW = 10
"""Classes with one example only that are never taken for identifiers: small data may be meant so."""

# Longer runs of digits are no numbers: Python refuses to convert thousands of them.
_WHOLE = re.compile(r"([+-]?\d{1,300})(\.0{0,300})?")
_NUMBER = re.compile(r"[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})(e[+-]?\d{1,3})?|[+-]?inf", re.IGNORECASE)

Place = Callable[[int], str]


class Labels(NamedTuple):
    """Labels as numbers of classes.

    Attributes:
      labels: Class of every example, [N] of int32; -1 where the label is missing and the reader has to leave
        the example out.
      class_names: Names of the classes, by number.
      notes: Sentences on labels that are missing, were read as one class, or look alike.
    """

    labels: NDArray[np.int32]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def row_place(row: int) -> str:
    """The place of an example in a source without lines, counted from 0 as everywhere."""
    return f"row {row}"


def classes_of(values: Iterable[Any], where: str, place: Place = row_place) -> Labels:
    """Classes that the labels of training data name, in natural order: numbers by value, then words.

    Blanks at the ends go, and "1.0" is the class "1", as pandas writes whole numbers of a column that has
    missing values.

    Args:
      values: Label of every example: text, a number, a truth value, or nothing.
      where: Description of the labels for messages, such as "labels of reviews.csv".
      place: Function that describes the place of a row, such as "line 7".

    Raises:
      ValueError: There are no labels, they look like a regression target or like identifiers, or an example
        has several.

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
    numbers = [text for text in distinct if _NUMBER.fullmatch(text)]
    all_whole = all(_WHOLE.fullmatch(text) for text in numbers)
    if len(numbers) == len(distinct) and not all_whole:
        _refuse_regression(numbers, where)
    names = {text: _whole(text) if all_whole else text for text in distinct}
    class_names = tuple(sorted(set(names.values()), key=natural))
    number = {name: index for index, name in enumerate(class_names)}
    labels = np.array([-1 if text is None else number[names[text]] for text in texts], np.int32)
    _refuse_identifiers(labels, class_names, where)
    return Labels(labels, class_names, tuple(_notes(values, labels, class_names, where)))


def labels_of(
    values: Iterable[Any], class_names: Sequence[str], where: str, place: Place = row_place
) -> Labels:
    """Labels of held-out data, as those to train on number the classes.

    Args:
      values: Label of every example, as in ``classes_of``.
      class_names: Names of the classes, by number.
      where: Description of the labels for messages.
      place: Function that describes the place of a row.

    Raises:
      ValueError: A label is none of the classes; the message names it and its place.

    >>> labels_of([1.0, "0", None], ("0", "1"), "test labels of reviews.csv").labels
    array([ 1,  0, -1], dtype=int32)
    """
    exact = {name: index for index, name in enumerate(class_names)}
    cleaned = {_whole(clean(name)): index for name, index in reversed(exact.items())}
    labels = []
    for row, value in enumerate(values):
        text = _text(value, where, place, row)
        label = -1 if text is None else exact.get(text, cleaned.get(_whole(text)))
        if label is None:
            raise ValueError(
                f"{where} hold {text!r} ({place(row)}), expected one of {listed(map(repr, class_names))}"
            )
        labels.append(label)
    found = np.array(labels, np.int32)
    return Labels(found, tuple(class_names), tuple(_missing(found, where)))


def labels_among(
    values: Iterable[Any], class_names: Sequence[str], where: str, place: Place = row_place
) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Labels of data to evaluate or predict, which are of use only if none is missing.

    Args:
      values: Label of every example, as in ``classes_of``.
      class_names: Names of the model's classes.
      where: Description of the labels for messages.
      place: Function that describes the place of a row.

    Returns:
      Labels [N] of int32, or None if any is missing; and notes, which tell if only some are.

    Raises:
      ValueError: A label is none of the model's classes; the message names it and its place.

    >>> labels_among([1.0, "0"], ("0", "1"), "labels of reviews.csv")
    (array([1, 0], dtype=int32), ())
    """
    labels = labels_of(values, class_names, where, place).labels
    missing = int((labels < 0).sum())
    if not missing:
        return labels, ()
    if missing == len(labels):
        return None, ()
    return None, (f"{missing:,} of {len(labels):,} {where} are missing, so none of them is used",)


def class_name(value: Any) -> str | None:
    r"""Name of the class that a label means by itself, or None if the label is missing.

    >>> class_name(" pos\u00a0"), class_name(3.0), class_name(b"cat"), class_name(float("nan"))
    ('pos', '3', 'cat', None)

    Raises:
      ValueError: The value is a list or the like, or bytes that are not UTF-8.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{value!r}, which is not UTF-8") from None
    if isinstance(value, list | tuple | set | frozenset | Mapping | np.ndarray):
        raise ValueError(
            f"{str(value)[:60]}, expected one class: only single-label classification is supported, not "
            "multi-label"
        )
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = clean(str(value)) if value is not None else ""
    return None if text.lower() in MISSING else text


@lru_cache(maxsize=4096)
def clean(text: str) -> str:
    """Text without blanks at its ends, its accents composed (Unicode's form NFC)."""
    return unicodedata.normalize("NFC", text).strip(BLANKS)


def natural(name: str) -> tuple[int, int, str]:
    """Key that sorts whole numbers by value before words by alphabet, so 10 comes after 9.

    >>> sorted(["b", "10", "1", "01", "a", "-2"], key=natural)
    ['-2', '01', '1', '10', 'a', 'b']
    """
    whole = _WHOLE.fullmatch(name)
    return (0, int(whole[1]), name) if whole else (1, 0, name)


def listed(names: Iterable[str], shown: int = SHOWN) -> str:
    """The first names, and how many more there are.

    >>> listed("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    names = list(names)
    return ", ".join(names[:shown]) + (f" and {len(names) - shown:,} more" if names[shown:] else "")


def _text(value: Any, where: str, place: Place, row: int) -> str | None:
    try:
        return class_name(value)
    except ValueError as error:
        raise ValueError(f"{where}, {place(row)}: the label is {error}") from None


def _whole(text: str) -> str:
    """A whole number without its decimal point; any other text as it is."""
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def _refuse_regression(numbers: Sequence[str], where: str) -> None:
    fractions = [text for text in numbers if not _WHOLE.fullmatch(text)]
    raise ValueError(
        f"{where} hold numbers that are not whole ({listed(fractions, 3)}), which looks like a regression "
        "target, expected classes: only single-label classification is supported (classes that are such "
        "numbers need names, such as 'v1.5')"
    )


def _refuse_identifiers(labels: NDArray[np.int32], class_names: Sequence[str], where: str) -> None:
    counts = np.bincount(labels[labels >= 0])
    alone = [class_names[label] for label in np.flatnonzero(counts == 1).tolist()]
    if len(alone) > max(FEW, counts.sum() / 2):
        raise ValueError(
            f"{where} hold {len(class_names):,} classes, {len(alone):,} of them with one example only "
            f"({listed(map(repr, alone), 3)}), which looks like identifiers or a regression target, expected "
            "several examples for each class"
        )


def _notes(
    values: Sequence[Any], labels: NDArray[np.int32], class_names: Sequence[str], where: str
) -> Iterator[str]:
    known = labels[labels >= 0]
    counted = {
        name: f"{name!r} ({count:,})"
        for name, count in zip(class_names, np.bincount(known).tolist(), strict=True)
    }
    yield from _missing(labels, where)
    if spellings := _spellings(values, labels, class_names):
        yield f"{where} with several spellings are read as one class: {listed(spellings)}"
    if alike := [" and ".join(counted[name] for name in names) for names in _lookalikes(class_names)]:
        yield f"{where} that look alike are classes of their own: {listed(alike)}"
    if doubtful := [counted[name] for name in class_names if name in DOUBTFUL]:
        yield f"{where} hold {listed(doubtful)}, read as a class and not as missing"
    if joined := [counted[name] for name in class_names if _is_joined(name, set(class_names))]:
        yield (
            f"{where} seem to hold several classes in one, {listed(joined)}: each is a class of its own, as "
            "multi-label classification is not supported"
        )


def _missing(labels: NDArray[np.int32], where: str) -> Iterator[str]:
    if missing := int((labels < 0).sum()):
        yield f"{missing:,} of {len(labels):,} {where} are missing; their examples are left out"


def _spellings(values: Sequence[Any], labels: NDArray[np.int32], class_names: Sequence[str]) -> list[str]:
    """Texts that are the same class once their blanks and decimal points are gone."""
    found: dict[str, set[str]] = {}
    for value, label in zip(values, labels.tolist(), strict=True):
        if label >= 0 and isinstance(value, str):
            found.setdefault(class_names[label], set()).add(value)
    return [
        f"{', '.join(map(repr, sorted(texts)[:SHOWN]))} as {name!r}"
        for name, texts in found.items()
        if len(texts) > 1
    ]


def _lookalikes(class_names: Sequence[str]) -> list[list[str]]:
    """Groups of classes that differ only in case, inner blanks or leading zeros."""
    groups: dict[Any, list[str]] = {}
    for name in class_names:
        folded = re.sub(r"[\s_]", "", unicodedata.normalize("NFKC", name).casefold())
        whole = _WHOLE.fullmatch(folded)
        groups.setdefault(int(whole[1]) if whole else folded, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _is_joined(name: str, class_names: Set[str]) -> bool:
    """Checks for a name such as "comedy|drama" beside "comedy" and "drama"."""
    parts = {clean(part) for part in re.split(r"[|;,+/]", name)}
    return len(parts) > 1 and parts <= class_names
