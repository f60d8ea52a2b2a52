"""Common names of inputs and labels in .npz files."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from laya_jax.data.class_names import listed, plain

INPUTS = ("inputs", "x", "data", "images", "features")
LABELS = ("labels", "y", "target", "targets", "label")
PARTNERS = {"x": "y", "data": "target"}
"""Words for inputs and the matching words for labels; all others are paired with "labels"."""

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""Words for the splits. Inputs and labels without any belong to the training split."""

CLASS_NAMES = ("classnames", "targetnames", "labelnames")
"""Names of the array of class names, normalised by ``_key``."""

EXPECTED = (
    "expected arrays named inputs and labels, X and y, or x_train and y_train (likewise for val and test)"
)


class Part(NamedTuple):
    """Names of the arrays of one split; None for a missing array."""

    inputs: str | None
    labels: str | None


class Arrays(NamedTuple):
    """Names of the arrays of a file, by role.

    Attributes:
      parts: Names of inputs and labels, by split.
      class_names: Name of the array of class names; None if there is none.
      ignored: Names of all other arrays, which are ignored.
    """

    parts: Mapping[str, Part]
    class_names: str | None
    ignored: tuple[str, ...]


def arrays_named(names: Sequence[str]) -> Arrays:
    """Determines the roles of arrays from their names, regardless of case and word order.

    >>> found = arrays_named(["X", "y", "test_images", "test_labels", "foo"])
    >>> found.parts["train"], found.parts["test"].inputs, found.ignored
    (Part(inputs='X', labels='y'), 'test_images', ('foo',))
    """
    known = {name: VOCABULARY[_key(name)] for name in names if _key(name) in VOCABULARY}
    parts = {split: _part({name: of for name, of in known.items() if of.split == split}) for split in SPLITS}
    class_names = next((name for name in names if _key(name) in CLASS_NAMES), None)
    used = {class_names, *(name for part in parts.values() for name in part)}
    return Arrays(parts, class_names, tuple(name for name in names if name not in used))


def ignored_notes(arrays: Arrays, where: str) -> Iterator[str]:
    """Yields a note on ignored arrays, with the supported names."""
    described = []
    for name in arrays.ignored:
        near = difflib.get_close_matches(name.lower(), SUGGESTED, n=1, cutoff=0.8)
        is_known = _key(name) in VOCABULARY
        meant = f" (did you mean {near[0]}?)" if near and not is_known else ""
        described.append(plain(name) + meant)
    if described:
        yield f"{where} holds arrays that are not used: {listed(described)}"


class _Meaning(NamedTuple):
    kind: str
    split: str
    word: str
    is_plain: bool


def _meanings() -> Iterator[tuple[str, _Meaning]]:
    for kind, words in (("inputs", INPUTS), ("labels", LABELS)):
        for word in words:
            yield word, _Meaning(kind, "train", word, True)
            for split, synonyms in SPLITS.items():
                for synonym in synonyms:
                    meaning = _Meaning(kind, split, word, False)
                    yield from ((f"{word}_{synonym}", meaning), (f"{synonym}_{word}", meaning))


def _key(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


VOCABULARY = {_key(name): meaning for name, meaning in _meanings()}
SUGGESTED = [name for name, _ in _meanings()]


def _part(known: Mapping[str, _Meaning]) -> Part:
    """Selects the arrays of a split: names with a word for it take precedence, and labels match inputs."""
    inputs = min(
        (name for name, of in known.items() if of.kind == "inputs"),
        key=lambda name: (known[name].is_plain, INPUTS.index(known[name].word)),
        default=None,
    )
    if inputs is None:
        return Part(None, None)
    like = known[inputs]
    labels = min(
        (name for name, of in known.items() if of.kind == "labels"),
        key=lambda name: (
            known[name].is_plain != like.is_plain,
            known[name].word != PARTNERS.get(like.word, "labels"),
            LABELS.index(known[name].word),
        ),
        default=None,
    )
    return Part(inputs, labels)
