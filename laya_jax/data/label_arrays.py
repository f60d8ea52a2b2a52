"""Labels as arrays hold them: one number or name each, columns, one-hot rows, or indices of class names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.class_names import clean, listed, quoted


def label_values(array: NDArray, examples: int, where: str) -> list[Any]:
    """The label of every example: values of a vector, a row or a column, or the place of the one in each row.

    Args:
      array: Labels [N], [N, 1], [1, N], or one-hot [N, K].
      examples: Number of labels that there should be.
      where: Description of the labels for messages.

    Raises:
      ValueError: Labels of another form or number; or several classes of one example.

    >>> label_values(np.array([[0, 0, 1], [1, 0, 0]]), 2, "labels")
    [2, 0]
    """
    if array.dtype.kind not in "biufSU":
        raise ValueError(f"{where} are of {array.dtype}, expected whole numbers, names, or one-hot rows")
    is_one_hot = array.ndim == 2 and len(array) == examples and array.shape[1] > 1
    if array.ndim and array.size == max(array.shape) and (array.size == examples or not is_one_hot):
        array = array.reshape(-1)
    elif array.ndim == 2 and array.dtype.kind in "biuf":
        array = _from_one_hot(array, where)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{where} have shape {array.shape}, expected one label per example")
    if len(array) != examples:
        raise ValueError(f"{where} are {len(array):,} for {examples:,} inputs, expected as many of both")
    return array.tolist()


def are_numbers(values: Sequence[Any]) -> bool:
    """Checks that all labels are numbers, or names that are.

    >>> are_numbers([0, 1.0]), are_numbers(("0", "1")), are_numbers([True]), are_numbers(("cat", "1"))
    (True, True, False, False)
    """
    return all(str(value).removesuffix(".0").removeprefix("-").isdecimal() for value in values)


def named_values(values: Sequence[Any], class_names: Sequence[str], where: str) -> list[Any]:
    """Labels that are numbers of classes, as the names of these; other labels as they are.

    Raises:
      ValueError: A number that is none of a class.

    >>> named_values([1, "a", None], ["a", "b"], "labels")
    ['b', 'a', None]
    """
    number = len(class_names)

    def name(row: int, value: Any) -> Any:
        if not isinstance(value, int | float) or value != value:
            return value
        if value not in range(number):
            raise ValueError(
                f"{where} hold {value} (row {row}), expected whole numbers from 0 to {number - 1}"
            )
        return class_names[int(value)]

    return [name(row, value) for row, value in enumerate(values)]


def read_class_names(array: NDArray, where: str) -> tuple[str, ...]:
    """Names of the classes, by number, without blanks at their ends.

    Raises:
      ValueError: They are no list of names, or two are the same.
    """
    if array.ndim != 1 or array.dtype.kind not in "iuSU":
        raise ValueError(f"{where} have shape {array.shape} and {array.dtype}, expected one name per class")
    names = [clean(name.decode() if isinstance(name, bytes) else str(name)) for name in array.tolist()]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1 or not name]
    if twice:
        raise ValueError(
            f"{where} hold {listed(map(quoted, twice))}, expected a name of its own for each class"
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
        "one 1 each: only single-label classification is supported, not multi-label or several targets"
    )
