"""Random damage to the files of a directory, as from a failing disk, a careless editor or an attacker."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

ODD_VALUES = (None, True, -1, 0, 1e308, "", "x", [], {}, 2**70, [[[]]], "0" * 5000)
"""Replacement values for a value in a JSON file."""


def mutate(directory: Path, generator: random.Random) -> str:
    """Damages one random file of a directory.

    Args:
      directory: Path of the directory whose files may be changed.
      generator: Random number generator.

    Returns:
      Description of the damage: its name and the relative path of the file.
    """
    files = sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    path = generator.choice(files)
    kinds = list(BYTES)
    if path.suffix in TEXT:
        kinds += list(TEXT[path.suffix]) * 2
    kind = generator.choice(kinds)
    {**BYTES, **TEXT.get(path.suffix, {})}[kind](path, generator)
    return f"{kind}: {path.relative_to(directory)}"


def _flip_bits(path: Path, generator: random.Random) -> None:
    content = bytearray(path.read_bytes() or b"\0")
    for _ in range(generator.choice((1, 1, 1, 8, 64))):
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def _truncate(path: Path, generator: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: generator.randrange(len(content) + 1)])


def _zero_a_block(path: Path, generator: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = generator.randrange(len(content) + 1)
    end = min(len(content), start + generator.choice((16, 512, 4096)))
    content[start:end] = bytes(end - start)
    path.write_bytes(content)


def _insert_noise(path: Path, generator: random.Random) -> None:
    content = path.read_bytes()
    place = generator.randrange(len(content) + 1)
    path.write_bytes(content[:place] + generator.randbytes(generator.randrange(1, 64)) + content[place:])


def _append_noise(path: Path, generator: random.Random) -> None:
    with path.open("ab") as file:
        file.write(generator.randbytes(generator.randrange(1, 512)))


def _empty(path: Path, generator: random.Random) -> None:
    del generator
    path.write_bytes(b"")


def _delete(path: Path, generator: random.Random) -> None:
    del generator
    path.unlink()


def _link_elsewhere(path: Path, generator: random.Random) -> None:
    del generator
    target = path.with_name(f"{path.name}.elsewhere")
    path.rename(target)
    path.symlink_to(target.name)


def _turn_into_folder(path: Path, generator: random.Random) -> None:
    del generator
    path.unlink()
    path.mkdir()


def _duplicate(path: Path, generator: random.Random) -> None:
    del generator
    shutil.copy(path, path.with_name(f"copy-of-{path.name}"))


def _change_digit(path: Path, generator: random.Random) -> None:
    text = path.read_text("utf-8", errors="surrogateescape")
    places = [place for place, character in enumerate(text) if character.isdecimal()]
    if places:
        place = generator.choice(places)
        digit = generator.choice([digit for digit in "0123456789" if digit != text[place]])
        path.write_text(f"{text[:place]}{digit}{text[place + 1 :]}", "utf-8", errors="surrogateescape")


def _drop_line(path: Path, generator: random.Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        del lines[generator.randrange(len(lines))]
    path.write_bytes(b"".join(lines))


def _repeat_line(path: Path, generator: random.Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        lines.insert(generator.randrange(len(lines)), generator.choice(lines))
    path.write_bytes(b"".join(lines))


def _change_json_value(path: Path, generator: random.Random) -> None:
    """Replaces or deletes one value anywhere in a JSON file, or in one line of a JSON Lines file."""
    lines = path.read_text("utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text("utf-8")]
    number = generator.randrange(max(1, len(lines)))
    try:
        value = json.loads(lines[number])
    except (ValueError, IndexError):
        return _flip_bits(path, generator)
    holders = list(_holders(value))
    if holders:
        holder = generator.choice(holders)
        key = generator.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if generator.random() < 0.3:
            del holder[key]
        else:
            holder[key] = generator.choice(ODD_VALUES)
    lines[number] = json.dumps(value)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return None


def _holders(value: object) -> list:
    """Lists all non-empty objects and arrays inside a JSON value."""
    if not isinstance(value, dict | list) or not value:
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(holder for each in inner for holder in _holders(each))]


Damage = Callable[[Path, random.Random], None]

BYTES: dict[str, Damage] = {
    "bits flipped": _flip_bits,
    "truncated": _truncate,
    "block zeroed": _zero_a_block,
    "noise inserted": _insert_noise,
    "noise appended": _append_noise,
    "emptied": _empty,
    "deleted": _delete,
    "link": _link_elsewhere,
    "folder in its place": _turn_into_folder,
    "duplicated": _duplicate,
}
"""Kinds of damage to any file, by name."""

_LINES: dict[str, Damage] = {
    "digit changed": _change_digit,
    "line dropped": _drop_line,
    "line repeated": _repeat_line,
}
_JSON: dict[str, Damage] = {"digit changed": _change_digit, "value changed": _change_json_value}

TEXT: dict[str, dict[str, Damage]] = {
    ".csv": _LINES,
    ".txt": _LINES,
    ".jsonl": {**_LINES, **_JSON},
    ".json": _JSON,
}
"""Additional kinds of damage to text files, by suffix and name."""
