"""Arrays in a .npz file: inputs and labels, or x_train, y_train, x_test and y_test."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig, path_of
from laya_jax.data.dataset import (
    Dataset,
    Examples,
    Preprocessing,
    Unlabelled,
    check_classes,
    check_labels,
    make_dataset,
    scale_of,
)

INPUTS, LABELS = ("inputs", "x_train"), ("labels", "y_train")
TEST_INPUTS, TEST_LABELS = ("test_inputs", "x_test"), ("test_labels", "y_test")


def load_npz(config: DataConfig) -> Dataset:
    """Reads a file's arrays.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it cannot be read, or its arrays do not go together.
    """
    path = path_of(config.source)
    arrays = read_npz(path)
    examples = _examples(arrays, INPUTS, LABELS, path)
    test = _examples(arrays, TEST_INPUTS, TEST_LABELS, path) if _find(arrays, TEST_INPUTS) else None
    highest = int(examples.labels.max())
    class_names = tuple(map(str, arrays.get("class_names", range(highest + 1))))
    check_classes(examples.labels, class_names, f"labels of {path}")
    if test is not None:
        check_classes(test.labels, class_names, f"test labels of {path}")
        if test.inputs.shape[1:] != examples.inputs.shape[1:]:
            raise ValueError(
                f"{path} has test inputs of shape {test.inputs.shape[1:]}, "
                f"expected {examples.inputs.shape[1:]}"
            )
        if test.inputs.dtype != examples.inputs.dtype:
            raise ValueError(
                f"{path} has test inputs of {test.inputs.dtype}, expected {examples.inputs.dtype}"
            )
    shape = examples.inputs.shape[1:]
    preprocessing = Preprocessing(
        "images" if len(shape) == 3 else "features", shape, scale=scale_of(examples.inputs)
    )
    return make_dataset(examples, test, class_names, preprocessing, config)


def read_unlabelled_npz(path: Path, class_names: Sequence[str]) -> Unlabelled:
    """Inputs to predict: those to test on, if a file sets some apart, with labels where they are known."""
    arrays = read_npz(path)
    for inputs, labels in ((TEST_INPUTS, TEST_LABELS), (INPUTS, LABELS)):
        if name := _find(arrays, inputs):
            if _find(arrays, labels):
                values, known = _examples(arrays, inputs, labels, path)
                check_classes(known, class_names, f"{_find(arrays, labels)} of {path}")
            else:
                values, known = _inputs(arrays[name], name, path), None
            return Unlabelled(values, tuple(map(str, range(len(values)))), known, name)
    raise ValueError(f"{path} has the arrays {sorted(arrays)}, expected inputs")


def read_npz(path: Path) -> dict[str, NDArray]:
    """All arrays of a file, never unpickling any.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as .npz: {error}") from error


def _examples(
    arrays: Mapping[str, NDArray], inputs: Sequence[str], labels: Sequence[str], path: Path
) -> Examples:
    for names in (inputs, labels):
        if not _find(arrays, names):
            raise ValueError(
                f"{path} has the arrays {sorted(arrays)}, expected {' or '.join(names)} among them"
            )
    values = _inputs(arrays[_find(arrays, inputs)], _find(arrays, inputs), path)
    known = check_labels(arrays[_find(arrays, labels)], f"{_find(arrays, labels)} of {path}")
    if len(values) != len(known):
        raise ValueError(f"{path} has {len(values)} inputs and {len(known)} labels, expected as many of both")
    return Examples(values, known)


def _find(arrays: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((name for name in names if name in arrays), "")


def _inputs(array: NDArray, name: str, path: Path) -> NDArray:
    """Inputs as stored: uint8 as they are, with an axis for the channel, anything else in float32."""
    if array.ndim < 2 or not array.size or not (np.issubdtype(array.dtype, np.number)):
        raise ValueError(
            f"{name} of {path} has shape {array.shape} and dtype {array.dtype}, expected numbers "
            "[examples, features] or [examples, height, width, channels]"
        )
    if array.ndim == 3 and array.dtype == np.uint8:
        array = array[..., None]
    if array.dtype == np.uint8:
        return array
    values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} of {path} holds values that are not finite, expected numbers")
    return values
