"""Tables in parquet files, read by pyarrow."""

from pathlib import Path
from typing import TYPE_CHECKING

from laya_jax.data.tables.table import Table, find_columns
from laya_jax.data.tables.text_files import check_expansion

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

ROWS = 1000
"""Number of rows read at a time."""


def read_parquet(path: Path, names: tuple[str, ...]) -> Table:
    """Reads columns of a parquet file.

    Args:
      path: Path of the file.
      names: Names of the columns to read.

    Raises:
      ValueError: The file cannot be read, or pyarrow is not installed.
    """
    # Imported here because other formats do not need pyarrow.
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise ValueError(f"{path} needs pyarrow: pip install 'laya-jax[parquet]'") from error
    try:
        with ParquetFile(path, page_checksum_verification=True) as file:
            return _table(path, names, file)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} cannot be read as parquet: {reason}") from error


def _table(path: Path, names: tuple[str, ...], file: "ParquetFile") -> Table:
    columns = tuple(file.schema_arrow.names)
    indices = find_columns(path, columns, names)
    wanted = [columns[index] for index in indices.values()]
    values: dict[str, list[object]] = {name: [] for name in indices}
    size = rows = 0
    for batch in file.iter_batches(batch_size=ROWS, columns=wanted):
        size += batch.nbytes
        check_expansion(path, size, path.stat().st_size)
        for name, index in indices.items():
            values[name] += batch.column(columns[index]).to_pylist()
        rows += batch.num_rows
    unread = tuple(column for column in columns if column not in wanted)
    return Table(path, columns, unread, values, range(rows), "row")
