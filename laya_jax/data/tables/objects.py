"""Tables of JSON objects: one per line, or a list of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from laya_jax.data.class_names import quoted
from laya_jax.data.tables.table import Table, find_columns
from laya_jax.data.tables.text_files import open_text

MOST_DIGITS = 300
"""Maximum number of digits of an integer; Python refuses to parse thousands, and no class has such a name."""


def read_lines(path: Path, names: tuple[str, ...]) -> Table:
    """Reads fields of JSON objects from a file with one object per line; blank lines are ignored.

    Args:
      path: Path of the file.
      names: Names of the fields to read; missing fields of an object are None.

    Raises:
      ValueError: The file cannot be read; the message names the line.
    """
    lines = enumerate(open_text(path, newline="\n"), 1)
    rows = ((line, _parse(text, f"{path}, line {line}")) for line, text in lines if text.strip())
    return _table(path, names, rows, "line")


def read_list(path: Path, names: tuple[str, ...]) -> Table:
    """Reads fields of the objects in a JSON list; a file that does not start with one is read by lines."""
    content = open_text(path, newline="\n").read()
    if not content.lstrip().startswith("["):
        return read_lines(path, names)
    return _table(path, names, enumerate(_parse(content, str(path)), 1), "entry")


def _table(path: Path, names: tuple[str, ...], rows: Iterable[tuple[int, object]], unit: str) -> Table:
    numbers: list[int] = []
    values: dict[str, list[object]] = {name: [] for name in names}
    found: dict[tuple[str, ...], dict[str, str]] = {}  # keys by name, cached by the set of keys of an object
    for number, row in rows:
        if not isinstance(row, dict):
            hint = " (a file that holds one list should be named .json)" if isinstance(row, list) else ""
            raise ValueError(f"{path}, {unit} {number}: expected an object with {names[0]!r}{hint}")
        keys = tuple(row)
        if keys not in found:
            found[keys] = {name: keys[index] for name, index in find_columns(path, keys, names).items()}
        for name, column in values.items():
            key = found[keys].get(name)
            column.append(None if key is None else row[key])
            if isinstance(column[-1], str):
                _check_characters(column[-1], f"{path}, {unit} {number}: {name!r}")
        numbers.append(number)
    columns = tuple(dict.fromkeys(key for keys in found for key in keys))
    read = {key for of in found.values() for key in of.values()}
    there = {name for of in found.values() for name in of}
    return Table(
        path,
        columns,
        tuple(key for key in columns if key not in read),
        {name: column for name, column in values.items() if name in there},
        numbers,
        unit,
    )


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=_whole)
    except RecursionError:
        raise ValueError(f"{where}: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text.strip() else ""
        raise ValueError(f"{where}: {error.msg} ({line}column {error.colno})") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the field {quoted(twice)} more than once")
    return fields


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits, expected at most {MOST_DIGITS}")
    return int(digits)


def _check_characters(text: str, where: str) -> None:
    """Rejects lone surrogates, which JSON escapes can express but UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where} has half of a surrogate pair, {text[error.start]!r}, expected whole characters"
        ) from None
