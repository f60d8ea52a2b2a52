"""Columns of a table, and how they are found by name."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from laya_jax.data.class_names import clean, listed, quoted

SHOWN = 20
"""Columns that a sentence lists before it says how many more there are."""


class Table(NamedTuple):
    """The columns that were asked for.

    Attributes:
      path: Path of the file.
      columns: Names of all columns of the file.
      unread: Names of those that were not asked for.
      values: Values by the name that a column was asked for; a name that the file does not have is left out.
      numbers: Number of each row in the file.
      unit: Noun for what is numbered: "line", "row" or "entry".
    """

    path: Path
    columns: tuple[str, ...]
    unread: tuple[str, ...]
    values: Mapping[str, Sequence[Any]]
    numbers: Sequence[int]
    unit: str

    def place(self, row: int) -> str:
        """Describes where a row is in the file, such as "line 7"."""
        return f"{self.unit} {self.numbers[row]}"

    def column(self, name: str, option: str) -> Sequence[Any]:
        """Values of a column that has to be there.

        Args:
          name: Name that the column was asked for.
          option: Option of the configuration that names it, for the message.

        Raises:
          ValueError: There is no such column; the message lists those that there are.
        """
        if name not in self.values:
            raise ValueError(
                f"{self.path} has the columns {as_columns(self.columns)}, expected {name!r} (set by {option})"
            )
        return self.values[name]


def find_columns(path: Path, columns: Sequence[str], names: Iterable[str]) -> dict[str, int]:
    """Finds columns by their names, exactly or else but for case and blanks at the ends.

    Args:
      path: Path of the file, for messages.
      columns: Names of its columns.
      names: Names to find.

    Returns:
      Index of each column, by the name to find, of those that are there.

    Raises:
      ValueError: Several columns have one of the names.

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
                f"{path} has {len(found)} columns that are called {name!r} "
                f"({as_columns(columns[index] for index in found)}), expected one"
            )
        if found:
            indices[name] = found[0]
    return indices


def as_columns(columns: Iterable[str]) -> str:
    """Names of columns as a sentence lists them.

    >>> as_columns(["id", "text"])
    "'id', 'text'"
    """
    return listed(map(quoted, columns), SHOWN)
