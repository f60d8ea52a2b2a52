"""Tables whose fields are separated by commas, semicolons or tabs."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from laya_jax.data.tables.table import Table, find_columns
from laya_jax.data.tables.text_files import open_text

if TYPE_CHECKING:
    from _csv import Reader

LONGEST = 2**24
"""Maximum number of characters of a field; a longer one is due to an unclosed quotation mark."""

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""Names of the supported delimiters."""


def read_delimited(path: Path, names: tuple[str, ...]) -> Table:
    """Reads columns of a table with a header, whose rows must have as many fields as the header.

    Args:
      path: Path of the file.
      names: Names of the columns to read.

    Raises:
      ValueError: The file cannot be read; the message names the line.
    """
    file = open_text(path, newline="")
    with _long_fields():
        delimiter = _delimiter(path, file, names)
        rows = _rows(path, csv.reader(file, delimiter=delimiter, strict=True))
        columns = next(rows, (0, []))[1]
        indices = find_columns(path, columns, names)
        values: dict[str, list[str]] = {name: [] for name in indices}
        numbers = []
        for line, row in rows:
            if len(row) != len(columns):
                raise ValueError(
                    f"{path}, line {line}: number of fields is {len(row)}, expected {len(columns)} as in the "
                    f"header (a text that contains a {DELIMITERS[delimiter]} or a line break needs quotation "
                    "marks around it)"
                )
            for name, index in indices.items():
                values[name].append(row[index])
            numbers.append(line)
    unread = [column for index, column in enumerate(columns) if index not in indices.values()]
    return Table(path, tuple(columns), tuple(unread), values, numbers, "line")


def _delimiter(path: Path, file: io.TextIOWrapper, names: tuple[str, ...]) -> str:
    """Chooses the delimiter that yields most of the requested columns in the header, then most columns.

    Two delimiters can find the same column only if it is the whole header; the suffix then decides between
    commas and tabs.
    """

    def found(delimiter: str) -> tuple[int, int]:
        file.seek(0)
        try:
            columns = next(filter(None, csv.reader(file, delimiter=delimiter, strict=True)), [])
        except csv.Error:  # reported with its line when the rows are read
            return 0, 0
        return len(find_columns(path, columns, names)), len(columns)

    likeliest = ("\t", ",", ";") if ".tsv" in path.name.lower() else (",", ";", "\t")
    best = max(likeliest, key=found)
    file.seek(0)
    return best


def _rows(path: Path, reader: "Reader") -> Iterator[tuple[int, list[str]]]:
    """Yields the rows that are not blank, with the line on which each starts."""
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {line}: {error} (quotation marks inside a quoted text must be doubled, and "
                "every quoted text must be closed)"
            ) from error
        if row is None:
            return
        if row:
            yield line, row


@contextmanager
def _long_fields() -> Iterator[None]:
    # The limit is global to the process, so it is restored.
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)
