"""Writing of predictions: .csv or .jsonl with a line per example, or .npz with an array per quantity."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.data import Unlabelled
from laya_jax.engine import Outputs, softmax
from laya_jax.files import writing
from laya_jax.spreadsheet import write_rows

SUFFIXES = (".csv", ".jsonl", ".npz")


def write_predictions(
    path: Path, given: Unlabelled, outputs: Outputs[NDArray], class_names: Sequence[str]
) -> None:
    """Writes the predictions for examples, in order, with labels where these are known.

    In a .csv, names that a spreadsheet might evaluate are escaped; .jsonl and .npz are exact.

    Args:
      path: Path of a new file; its suffix determines the format.
      given: Examples, whose ids and labels are written.
      outputs: Outputs of ``predict``.
      class_names: Names of the classes, by label.

    Raises:
      OSError: The file exists or cannot be written; no partial file is left.
    """
    probabilities = softmax(np.asarray(outputs.logits, np.float64))
    if path.suffix == ".npz":
        _write_npz(path, given, outputs, probabilities, class_names)
        return
    rows = _rows(given, probabilities, outputs, class_names)
    # Names of files may contain surrogates, which UTF-8 cannot encode. In JSON, the escape is exact.
    with writing(path, new=True, errors="backslashreplace") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            first = next(rows)
            write_rows(file, list(first), (list(row.values()) for row in chain([first], rows)))


def _write_npz(
    path: Path,
    given: Unlabelled,
    outputs: Outputs[NDArray],
    probabilities: NDArray,
    class_names: Sequence[str],
) -> None:
    known: dict[str, Any] = {"labels": given.labels, "attention": outputs.attention, "flips": outputs.flips}
    with writing(path, binary=True, new=True) as file:
        np.savez(
            file,
            ids=np.array(given.ids),
            predicted=np.argmax(probabilities, axis=1),
            class_names=np.array(class_names),
            probabilities=probabilities,
            **{name: array for name, array in known.items() if array is not None},
        )


def _rows(
    given: Unlabelled, probabilities: NDArray, outputs: Outputs[NDArray], class_names: Sequence[str]
) -> Iterator[dict[str, object]]:
    """Yields a row per example: classes, probabilities, attention, and the effect of the top layer."""
    for index, (name, row) in enumerate(zip(given.ids, probabilities, strict=True)):
        shares = [] if outputs.attention is None else outputs.attention[index]
        yield {
            "id": name,
            **({} if given.labels is None else {"label": class_names[given.labels[index]]}),
            "predicted": class_names[int(np.argmax(row))],
            **{f"probability of {of}": float(value) for of, value in zip(class_names, row, strict=True)},
            **{f"attention to h{layer}": float(share) for layer, share in enumerate(shares, 1)},
            **({} if outputs.flips is None else {"changes without top layer": bool(outputs.flips[index, 0])}),
        }
