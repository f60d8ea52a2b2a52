"""Labels in arrays: one number or name each, columns, one-hot rows, or indices of class names."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.class_names import clean, listed, quoted


def label_values(array: NDArray, examples: int, where: str) -> list[object]:
    """Returns the label of every example: values of a vector, row or column, or the argmax of one-hot rows.

    Args:
      array: Labels [N], [N, 1], [1, N], or one-hot [N, K].
      examples: Expected number of labels.
      where: Description of the labels for messages.

    Raises:
      ValueError: The labels have another form or number, or an example has several classes.

    >>> label_values(np.array([[0, 0, 1], [1, 0, 0]]), 2, "labels")
    [2, 0]
    """
    if array.dtype.kind not in "biufSU":
        raise ValueError(f"{where} have dtype {array.dtype}, expected whole numbers, names or one-hot rows")
    is_one_hot = array.ndim == 2 and len(array) == examples and array.shape[1] > 1
    if array.ndim and array.size == max(array.shape) and (array.size == examples or not is_one_hot):
        array = array.reshape(-1)
    elif array.ndim == 2 and array.dtype.kind in "biuf":
        array = _from_one_hot(array, where)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{where} have shape {array.shape}, expected one label per example")
    if len(array) != examples:
        raise ValueError(
            f"{where} have {len(array):,} entries for {examples:,} inputs, expected one per input"
        )
    return array.tolist()


def are_numbers(values: Sequence[object]) -> bool:
    """Returns True if all labels are numbers, or strings of numbers.

    >>> are_numbers([0, 1.0]), are_numbers(("0", "1")), are_numbers([True]), are_numbers(("cat", "1"))
    (True, True, False, False)
    """
    return all(str(value).removesuffix(".0").removeprefix("-").isdecimal() for value in values)


def named_values(values: Sequence[object], class_names: Sequence[str], where: str) -> list[object]:
    """Replaces labels that are class indices by class names, and leaves others unchanged.

    Raises:
      ValueError: An index is out of range.

    >>> named_values([1, "a", None], ["a", "b"], "labels")
    ['b', 'a', None]
    """
    number = len(class_names)

    def name(row: int, value: object) -> object:
        if not isinstance(value, int | float) or value != value:
            return value
        if value not in range(number):
            raise ValueError(
                f"{where} hold {value} (row {row}), expected whole numbers from 0 to {number - 1}"
            )
        return class_names[int(value)]

    return [name(row, value) for row, value in enumerate(values)]


def read_class_names(array: NDArray, where: str) -> tuple[str, ...]:
    """Reads the names of the classes, in order, without leading and trailing white space.

    Raises:
      ValueError: The array is not a list of names, or two names are the same.
    """
    if array.ndim != 1 or array.dtype.kind not in "iuSU":
        raise ValueError(
            f"{where} have shape {array.shape} and dtype {array.dtype}, expected one name per class"
        )
    names = [clean(name.decode() if isinstance(name, bytes) else str(name)) for name in array.tolist()]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1 or not name]
    if twice:
        raise ValueError(
            f"{where} hold {listed(map(quoted, twice))}, expected a distinct, non-empty name for each class"
        )
    return tuple(names)


def _from_one_hot(array: NDArray, where: str) -> NDArray:
    ones = (array == 1).sum(axis=1)
    is_binary = np.isin(array, (0, 1)).all()
    if is_binary and (ones == 1).all():
        return array.argmax(axis=1)
    found = f" and {ones[ones != 1][0]} ones in row {np.flatnonzero(ones != 1)[0]}" if is_binary else ""
    raise ValueError(
        f"{where} have shape {array.shape}{found}, expected one label per example, or one-hot rows with "
        "a single 1 each: only single-label classification is supported, not multi-label or several targets"
    )
