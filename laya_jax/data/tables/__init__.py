"""Reading of .csv, .tsv, JSON and parquet tables, with the line number of every row."""

from pathlib import Path

from laya_jax.data.tables.delimited import read_delimited
from laya_jax.data.tables.objects import read_lines, read_list
from laya_jax.data.tables.parquet import read_parquet
from laya_jax.data.tables.table import Table, as_columns

__all__ = ["Table", "as_columns", "read_table"]

READERS = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_lines,
    ".ndjson": read_lines,
    ".json": read_list,
    ".parquet": read_parquet,
}
"""Readers by file suffix."""

COMPRESSED = ".gz"


def read_table(path: Path, names: tuple[str, ...]) -> Table:
    """Reads columns of a table in the format given by the file's suffix, case-insensitive.

    Args:
      path: Path of the file.
      names: Names of the columns to read, matched regardless of case and surrounding white space.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read (the message names the line), or several columns match a name.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if compressed := suffixes[-1:] == [COMPRESSED]:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    if kind not in READERS or (compressed and kind == ".parquet"):
        *kinds, last = map(repr, READERS)
        raise ValueError(
            f"{path} has suffix {kind + compressed * COMPRESSED!r}, expected {', '.join(kinds)} (or one of "
            f"these followed by {COMPRESSED!r}) or {last}"
        )
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    table = READERS[kind](path, names)
    if not table.numbers:
        raise ValueError(f"{path} has no rows" + (" after its header" if table.columns else ""))
    return table
