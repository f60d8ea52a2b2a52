"""Names under which people keep inputs and labels in a .npz file."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from laya_jax.data.class_names import listed, plain

INPUTS = ("inputs", "x", "data", "images", "features")
LABELS = ("labels", "y", "target", "targets", "label")
PARTNERS = {"x": "y", "data": "target"}
"""Words for inputs and for labels, the first of several first; all others go with "labels"."""

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""Words for the splits. Inputs and labels without any are those to train on."""

CLASS_NAMES = ("classnames", "targetnames", "labelnames")
"""Names, as ``_key`` makes them, of the array that names the classes."""

EXPECTED = (
    "expected inputs and labels, X and y, or x_train and y_train (and the same with val and test) among them"
)


class Part(NamedTuple):
    """Names of the arrays of one split; None where there is none."""

    inputs: str | None
    labels: str | None


class Arrays(NamedTuple):
    """Names of the arrays of a file, by what they are.

    Attributes:
      parts: Names of inputs and labels, by split.
      class_names: Name of the array that names the classes, if there is one.
      passed_over: Names of all others.
    """

    parts: Mapping[str, Part]
    class_names: str | None
    passed_over: tuple[str, ...]


def arrays_named(names: Sequence[str]) -> Arrays:
    """Tells by their names which arrays are what, whatever their case and order of words.

    >>> found = arrays_named(["X", "y", "test_images", "test_labels", "foo"])
    >>> found.parts["train"], found.parts["test"].inputs, found.passed_over
    (Part(inputs='X', labels='y'), 'test_images', ('foo',))
    """
    known = {name: VOCABULARY[_key(name)] for name in names if _key(name) in VOCABULARY}
    parts = {split: _part({name: of for name, of in known.items() if of.split == split}) for split in SPLITS}
    class_names = next((name for name in names if _key(name) in CLASS_NAMES), None)
    used = {class_names, *(name for part in parts.values() for name in part)}
    return Arrays(parts, class_names, tuple(name for name in names if name not in used))


def passed_over_notes(arrays: Arrays, where: str) -> Iterator[str]:
    """A note on arrays that nothing reads, with the names that may have been meant."""
    described = []
    for name in arrays.passed_over:
        near = difflib.get_close_matches(name.lower(), SUGGESTED, n=1, cutoff=0.8)
        is_known = _key(name) in VOCABULARY
        meant = f" (did you mean {near[0]}?)" if near and not is_known else ""
        described.append(plain(name) + meant)
    if described:
        yield f"{where} holds what is not read: {listed(described)}"


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
    """Arrays of a split: names with a word for it before those without, and labels that go with inputs."""
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
