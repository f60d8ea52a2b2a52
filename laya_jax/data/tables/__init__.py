"""Tables in files: .csv and .tsv, JSON, and parquet, with the line of every row."""

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
"""Readers by the suffix of a file."""

COMPRESSED = ".gz"


def read_table(path: Path, names: tuple[str, ...]) -> Table:
    """Reads columns of a table; the suffix of the file, in any case, decides how.

    Args:
      path: Path of the file.
      names: Names of the columns to read; differences in case and blanks at the ends do not matter.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It cannot be read, naming the line, or several columns have one of the names.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if compressed := suffixes[-1:] == [COMPRESSED]:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    if kind not in READERS or (compressed and kind == ".parquet"):
        *kinds, last = map(repr, READERS)
        raise ValueError(
            f"{path} is of kind {kind + compressed * COMPRESSED!r}, expected {', '.join(kinds)} (or one of "
            f"these with {COMPRESSED!r}) or {last}"
        )
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    table = READERS[kind](path, names)
    if not table.numbers:
        raise ValueError(f"{path} has no rows" + (" after its header" if table.columns else ""))
    return table
