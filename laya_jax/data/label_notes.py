"""Notes on labels that were merged into one class, kept as separate classes, or read as missing."""

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.class_names import WHOLE, clean, listed, quoted

DOUBTFUL = ("None", "?", "-")
"""Labels that are read as classes, but may be meant as missing values."""


def label_notes(
    values: Sequence[object], labels: NDArray[np.int32], class_names: Sequence[str], where: str
) -> Iterator[str]:
    """Yields notes on ambiguous labels of training data, with numbers of examples.

    Args:
      values: Label of every example, as written in the source.
      labels: Class of every example, [N]; -1 for a missing label.
      class_names: Names of the classes, by label.
      where: Description of the labels, such as "labels of reviews.csv".
    """
    known = labels[labels >= 0]
    counted = {
        name: f"{quoted(name)} ({count:,})"
        for name, count in zip(class_names, np.bincount(known).tolist(), strict=True)
    }
    yield from missing_notes(values, labels, where)
    if spellings := _spellings(values, labels, class_names):
        yield f"{where} with several spellings are read as one class: {listed(spellings)}"
    if alike := [" and ".join(counted[name] for name in names) for names in _lookalikes(class_names)]:
        yield f"{where} with similar names are separate classes: {listed(alike)}"
    if doubtful := [counted[name] for name in class_names if name in DOUBTFUL]:
        yield f"{where} hold {listed(doubtful)}, read as a class rather than as missing"
    if joined := [counted[name] for name in class_names if _is_joined(name, set(class_names))]:
        yield (
            f"{where} seem to hold several classes in one, {listed(joined)}: each is a class of its own, as "
            "multi-label classification is not supported"
        )


def missing_notes(values: Sequence[object], labels: NDArray[np.int32], where: str) -> Iterator[str]:
    """Yields a note on missing labels and their spellings, if there are any."""
    missing = np.flatnonzero(labels < 0).tolist()
    if missing:
        written = {quoted(value) if isinstance(value := values[row], str) else repr(value) for row in missing}
        spelled = f"are missing ({listed(sorted(written))})"
        yield f"{len(missing):,} of {len(labels):,} {where} {spelled}; their examples are left out"


def _spellings(values: Sequence[object], labels: NDArray[np.int32], class_names: Sequence[str]) -> list[str]:
    """Lists spellings of the same class that differ in white space and decimal points."""
    found: dict[str, set[str]] = {}
    for value, label in zip(values, labels.tolist(), strict=True):
        if label >= 0 and isinstance(value, str):
            found.setdefault(class_names[label], set()).add(value)
    return [
        f"{listed(map(quoted, sorted(texts)))} as {quoted(name)}"
        for name, texts in found.items()
        if len(texts) > 1
    ]


def _lookalikes(class_names: Sequence[str]) -> list[list[str]]:
    """Groups classes that differ only in case, inner white space or leading zeros."""
    groups: dict[object, list[str]] = {}
    for name in class_names:
        folded = re.sub(r"[\s_]", "", unicodedata.normalize("NFKC", name).casefold())
        whole = WHOLE.fullmatch(folded)
        groups.setdefault(int(whole[1]) if whole else folded, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _is_joined(name: str, class_names: Set[str]) -> bool:
    """Returns True for a name such as "comedy|drama" if there are also "comedy" and "drama"."""
    parts = {clean(part) for part in re.split(r"[|;,+/]", name)}
    return len(parts) > 1 and parts <= class_names
