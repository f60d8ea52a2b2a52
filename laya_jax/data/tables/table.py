"""Columns of a table, and their lookup by name."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from laya_jax.data.class_names import clean, listed, quoted

SHOWN = 20
"""Maximum number of columns listed in a message."""


class Table(NamedTuple):
    """Requested columns of a table.

    Attributes:
      path: Path of the file.
      columns: Names of all columns of the file.
      unread: Names of the columns that were not requested.
      values: Values of each column by its requested name, without missing columns.
      numbers: Number of each row in the file.
      unit: Noun for the row numbers: "line", "row" or "entry".
    """

    path: Path
    columns: tuple[str, ...]
    unread: tuple[str, ...]
    values: Mapping[str, Sequence[object]]
    numbers: Sequence[int]
    unit: str

    def place(self, row: int) -> str:
        """Describes the position of a row in the file, such as "line 7"."""
        return f"{self.unit} {self.numbers[row]}"

    def column(self, name: str, option: str) -> Sequence[object]:
        """Returns the values of a required column.

        Args:
          name: Requested name of the column.
          option: Configuration option that sets the name, for the message.

        Raises:
          ValueError: There is no such column; the message lists the existing ones.
        """
        if name not in self.values:
            raise ValueError(
                f"{self.path} has the columns {as_columns(self.columns)}, expected {name!r} (set by {option})"
            )
        return self.values[name]


def find_columns(path: Path, columns: Sequence[str], names: Iterable[str]) -> dict[str, int]:
    """Finds columns by name: exactly, or else regardless of case and surrounding white space.

    Args:
      path: Path of the file, for messages.
      columns: Names of the file's columns.
      names: Names to find.

    Returns:
      Index of each column found, by the name to find.

    Raises:
      ValueError: Several columns match a name.

    >>> find_columns(Path("a.csv"), ["id", " Text"], ["text", "label"])
    {'text': 1}
    """
    cleaned = [clean(column) for column in columns]
    indices: dict[str, int] = {}
    for name in names:
        same = [index for index, column in enumerate(cleaned) if column == clean(name)]
        folded = clean(name).casefold()
        found = same or [index for index, column in enumerate(cleaned) if column.casefold() == folded]
        if len(found) > 1:
            raise ValueError(
                f"{path} has {len(found)} columns named {name!r} "
                f"({as_columns(columns[index] for index in found)}), expected one"
            )
        if found:
            indices[name] = found[0]
    return indices


def as_columns(columns: Iterable[str]) -> str:
    """Formats names of columns for a message.

    >>> as_columns(["id", "text"])
    "'id', 'text'"
    """
    return listed(map(quoted, columns), SHOWN)
