"""Checks of the classes in each split: a model can learn only the classes of the training split."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.class_names import listed, plain
from laya_jax.data.splits import Splits


def check_trained(labels: Splits[NDArray], class_names: Sequence[str], cut: Sequence[str]) -> None:
    """Checks that the training split has several classes, and all classes of the held-out examples.

    Args:
      labels: Labels of each split.
      class_names: Names of the classes, by label.
      cut: Names of the splits that were taken from the training examples rather than provided by the source.

    Raises:
      ValueError: The check fails; the message names the classes.
    """

    def missing(names: Sequence[str]) -> str:
        held_out = np.concatenate([getattr(labels, name) for name in names])
        return listed(plain(class_names[label]) for label in np.setdiff1d(held_out, labels.train).tolist())

    if cut and (names := missing(cut)):
        raise ValueError(
            f"data.split is 'last', which holds out all examples of {names}, expected 'shuffled' for data "
            "sorted by class: --data.split shuffled"
        )
    for split in ("validation", "test"):
        if names := missing([split]):
            raise ValueError(f"data.source has {split} examples of {names}, but no training examples of them")
    trained = np.unique(labels.train)
    if len(trained) < 2:
        name = class_names[int(trained[0])]
        raise ValueError(
            f"data.source has training examples of one class only ({plain(name)}), expected at least two"
        )


def without_untrained(
    labels: Splits[NDArray], class_names: Sequence[str]
) -> tuple[Splits[NDArray], tuple[str, ...]]:
    """Removes classes without training examples, and renumbers the labels.

    >>> without_untrained(Splits(*np.array([[0, 2], [2, 0], [2, 2]])), ("a", "b", "c"))[1]
    ('a', 'c')
    """
    trained = np.unique(labels.train)
    renumbered = (np.searchsorted(trained, each).astype(np.int32) for each in labels)
    return Splits(*renumbered), tuple(class_names[label] for label in trained.tolist())


def coverage_notes(labels: Splits[NDArray], class_names: Sequence[str], cut: Sequence[str]) -> Iterator[str]:
    """Yields notes on classes without training examples, or with too few to be in every split.

    Args:
      labels: Labels of each split, before ``without_untrained``.
      class_names: Names of the classes, by label.
      cut: Names of the splits that were taken from the training examples.
    """
    counts = {
        name: np.bincount(of, minlength=len(class_names)).tolist()
        for name, of in labels._asdict().items()
        if name == "train" or name in cut
    }
    untrained = [plain(name) for name, count in zip(class_names, counts["train"], strict=True) if not count]
    if untrained:
        yield f"{len(untrained):,} classes have no training examples and are left out: {listed(untrained)}"
    few = [
        f"{plain(name)} ({sum(of)})"
        for name, of in zip(class_names, zip(*counts.values(), strict=True), strict=True)
        if of[0] and not all(of)
    ]
    if few:
        yield (
            f"{len(few):,} of {len(class_names) - len(untrained):,} classes have too few examples for every "
            f"split; the training split comes first: {listed(few)}"
        )
