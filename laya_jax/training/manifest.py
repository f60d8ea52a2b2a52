"""Checksums of the files of a run or of an exported model, in ``manifest.json`` beside them.

A file is listed before it is written, and a longer part of a file that grows afterwards: at whatever point a
process is killed, what is listed fits what is there. Runs of earlier versions have no manifest; their files
are not checked.
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from laya_jax.engine import flat, read_record
from laya_jax.files import append_text, digest, read_bytes, refuse_links, write_json, write_text

MANIFEST = "manifest.json"
VERSION = 1

MOST_VALUES = 200
"""Values of a JSON file that are listed one by one, at most."""

SHOWN = 5
"""Changed values that a message names."""


@dataclasses.dataclass(frozen=True)
class Listed:
    """A file of a manifest.

    Attributes:
      sha256: SHA-256 of the content, in hexadecimal digits; two of them while another content replaces it.
      length: Number of bytes that are listed, of a file that grows; None for all of any other file.
      values: Short checksums of the values in a JSON file, by name, to tell which of them has changed.
    """

    sha256: tuple[str, ...]
    length: int | None = None
    values: dict[str, str] = dataclasses.field(default_factory=dict)

    def is_of(self, content: bytes) -> bool:
        """Compares the part of a content that is listed."""
        return self.length == 0 or _sha256(content[: self.length]) in self.sha256


Files = dict[str, Listed]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of ``manifest.json``.

    Attributes:
      version: Version of the format.
      files: Files by their names.
      sha256: SHA-256 of ``files`` as JSON.
    """

    version: int
    files: dict[str, Listed]
    sha256: str


def seal(directory: Path) -> None:
    """Lists all files that are in a new directory."""
    files = {}
    for path in sorted(directory.iterdir()):
        values = _values(read_bytes(path)) if path.suffix == ".json" else {}
        files[path.name] = Listed((digest(path),), values=values)
    _store(directory, files)


def check(directory: Path, names: Collection[str], optional: Collection[str] = ()) -> tuple[str, ...]:
    """Raises unless a directory holds what was written to it, and no links.

    Args:
      directory: Path of a run or of an exported model.
      names: Names of files that are read if they are there.
      optional: Names of files that may be missing although they are listed.

    Returns:
      A warning if there is no manifest.

    Raises:
      ValueError: A file is damaged, missing, not listed, or a link; the message names it.
    """
    refuse_links(directory)
    while True:
        files = _load(directory)
        if files is None:
            return (
                f"{directory} has no {MANIFEST}, so that its files are not checked: an earlier version wrote "
                "them, or somebody deleted it",
            )
        wrong = _first_wrong(directory, files, names, optional)
        if wrong is None:
            return ()
        if files == _load(directory):  # or else a process that trains there has written meanwhile
            raise ValueError(f"{wrong}; {_advice(directory)}")


def write(directory: Path, name: str, value: Any) -> None:
    """Writes a JSON file, which may replace one of that name, and lists it."""
    text = json.dumps(value, indent=1) + "\n"
    files, content = _load(directory), text.encode()
    if files is None:
        write_text(directory / name, text)
        return
    before = files[name].sha256 if name in files else ()
    listed = Listed((_sha256(content),), values=_values(content))
    _store(directory, {**files, name: dataclasses.replace(listed, sha256=(*before, *listed.sha256))})
    write_text(directory / name, text)
    if before:
        _store(directory, {**files, name: listed})


def read_growing(directory: Path, name: str) -> bytes:
    """Reads the part that is listed of a file that grows; more was cut off while it was written.

    Raises:
      ValueError: It is not what was written.
    """
    path = directory / name
    while True:
        files = _load(directory)
        content = read_bytes(path) if path.exists() else b""
        if files is None:
            return content[: content.rfind(b"\n") + 1]
        listed = files.get(name, Listed((), 0))
        if listed.is_of(content):
            return content[: listed.length]
        if files == _load(directory):
            raise ValueError(f"{path} is not what was written; {_advice(directory)}")


def grow(directory: Path, name: str, text: str) -> None:
    """Adds text to a file that grows, on disk before it returns."""
    before = read_growing(directory, name)
    append_text(directory / name, text, after=len(before))
    _list_growing(directory, name, before + text.encode())


def shrink(directory: Path, name: str, length: int) -> None:
    """Takes back all but the first bytes of a file that grows."""
    _list_growing(directory, name, read_growing(directory, name)[:length])
    append_text(directory / name, "", after=length)


def _list_growing(directory: Path, name: str, content: bytes) -> None:
    files = _load(directory)
    if files is not None:
        _store(directory, {**files, name: Listed((_sha256(content),), len(content))})


def _first_wrong(
    directory: Path, files: Files, names: Collection[str], optional: Collection[str]
) -> str | None:
    for name, listed in files.items():
        path = directory / name
        if not path.exists():
            if listed.length != 0 and name not in optional:
                return f"{path} is missing"
        elif listed.length is not None:
            if not listed.is_of(read_bytes(path)):
                return f"{path} is not what was written"
        elif digest(path) not in listed.sha256:
            return f"{path} is not what was written{_changes(path, listed)}"
    unlisted = [name for name in names if name not in files and (directory / name).exists()]
    return f"{directory / unlisted[0]} is not listed in {MANIFEST}" if unlisted else None


def _changes(path: Path, listed: Listed) -> str:
    """Names the values that differ in a JSON file that has changed."""
    now = _values(read_bytes(path)) if listed.values else {}
    names = [name for name in listed.values | now if listed.values.get(name) != now.get(name)]
    more = " and others" if len(names) > SHOWN else ""
    return f" ({', '.join(names[:SHOWN])}{more} changed)" if now and names else ""


def _values(content: bytes) -> dict[str, str]:
    """Returns short checksums of the values in a JSON object; none of anything else, or of very many."""
    try:
        values = dict(flat(json.loads(content)))
        checksums = {name: _sha256(json.dumps(value).encode())[:8] for name, value in values.items()}
    except (ValueError, AttributeError, RecursionError):
        return {}
    return checksums if len(checksums) <= MOST_VALUES else {}


def _load(directory: Path) -> Files | None:
    path = directory / MANIFEST
    try:
        manifest = read_record(Manifest, path)
    except FileNotFoundError:
        return None
    if manifest.version != VERSION:
        raise ValueError(f"{path} is of version {manifest.version}, expected {VERSION}")
    for name in manifest.files:
        if Path(name).name != name:
            raise ValueError(f"{path} lists {name!r}, expected files of its directory alone")
    if manifest.sha256 != _digest_of(manifest.files):
        raise ValueError(f"{path} is not what was written; {_advice(directory)}")
    return manifest.files


def _store(directory: Path, files: Files) -> None:
    write_json(directory / MANIFEST, dataclasses.asdict(Manifest(VERSION, files, _digest_of(files))))


def _digest_of(files: Files) -> str:
    listed = {name: dataclasses.asdict(file) for name, file in files.items()}
    return _sha256(json.dumps(listed, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _advice(directory: Path) -> str:
    manifest = directory / MANIFEST
    return f"restore it, or, if that is intended, delete {manifest}, and the files are no longer checked"
