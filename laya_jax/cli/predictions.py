"""Predictions as files: .csv or .jsonl with a line per example, or .npz with an array per quantity."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from laya_jax.checks import check_choice
from laya_jax.data import Unlabelled
from laya_jax.training.metrics import softmax
from laya_jax.training.run import check_is_new
from laya_jax.training.steps import Outputs

SUFFIXES = (".csv", ".jsonl", ".npz")


def check_can_write(path: Path) -> None:
    """Raises unless predictions can be written to a new file at this path.

    >>> check_can_write(Path("predictions.txt"))
    Traceback (most recent call last):
      ...
    ValueError: suffix of out is '.txt', expected one of '.csv', '.jsonl', '.npz'
    """
    check_choice("suffix of out", path.suffix, SUFFIXES)
    check_is_new(path, "out")
    check_parent(path)


def check_parent(path: Path) -> None:
    """Raises unless there is a folder to write this file to.

    >>> check_parent(Path("no-such-folder/report.html"))
    Traceback (most recent call last):
      ...
    FileNotFoundError: out is no-such-folder/report.html, but there is no folder no-such-folder
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"out is {path}, but there is no folder {path.parent}")


def write_predictions(path: Path, given: Unlabelled, outputs: Outputs, class_names: Sequence[str]) -> None:
    """Writes the predictions of examples, in their order, beside their labels where these are known.

    Args:
      path: a new file; its suffix decides on the form.
      given: the examples.
      outputs: of ``predict``.
      class_names: by label.
    """
    probabilities = softmax(np.asarray(outputs.logits, np.float64))
    if path.suffix == ".npz":
        known: dict[str, Any] = {
            "labels": given.labels,
            "attention": outputs.attention,
            "flips": outputs.flips,
        }
        np.savez(
            path,
            ids=np.array(given.ids),
            predicted=np.argmax(probabilities, axis=1),
            class_names=np.array(class_names),
            probabilities=probabilities,
            **{name: array for name, array in known.items() if array is not None},
        )
        return
    rows = _rows(given, probabilities, outputs, class_names)
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return
        first = next(rows)
        writer = csv.DictWriter(file, first.keys())
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(rows)


def _rows(
    given: Unlabelled, probabilities: Any, outputs: Outputs, class_names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """A row per example: its classes, probabilities, attention, and whether the top layer decided it."""
    for index, (name, row) in enumerate(zip(given.ids, probabilities, strict=True)):
        shares: Any = [] if outputs.attention is None else outputs.attention[index]
        yield {
            "id": name,
            **({} if given.labels is None else {"label": class_names[given.labels[index]]}),
            "predicted": class_names[int(np.argmax(row))],
            **{f"probability of {of}": float(value) for of, value in zip(class_names, row, strict=True)},
            **{f"attention to h{layer}": float(share) for layer, share in enumerate(shares, 1)},
            **({} if outputs.flips is None else {"changes without top layer": bool(outputs.flips[index, 0])}),
        }
