"""Checksums of the files of a run or of an exported model, in ``manifest.json`` next to them.

A file is listed before it is written, and a longer prefix of an append-only file after it is written, so the
manifest matches the files at whatever point a process is killed. Runs of earlier versions have no manifest;
their files are not checked.
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection
from pathlib import Path

from laya_jax.engine import flat, read_record
from laya_jax.files import append_text, digest, read_bytes, refuse_links, write_json, write_text

MANIFEST = "manifest.json"
VERSION = 1

MOST_VALUES = 200
"""Maximum number of values of a JSON file that are listed individually."""

SHOWN = 5
"""Maximum number of changed values named in a message."""


@dataclasses.dataclass(frozen=True)
class Listed:
    """Entry of a manifest for one file.

    Attributes:
      sha256: SHA-256 of the content in hexadecimal; of both contents while one is replaced by another.
      length: Number of listed bytes of an append-only file; None for other files, which are listed whole.
      values: Short checksums of the values in a JSON file, by name, to identify those that have changed.
    """

    sha256: tuple[str, ...]
    length: int | None = None
    values: dict[str, str] = dataclasses.field(default_factory=dict)

    def is_of(self, content: bytes) -> bool:
        """Compares the listed part of a content with the checksum."""
        return self.length == 0 or _sha256(content[: self.length]) in self.sha256


Files = dict[str, Listed]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Content of ``manifest.json``.

    Attributes:
      version: Version of the format.
      files: Entries by file name.
      sha256: SHA-256 of ``files`` as JSON.
    """

    version: int
    files: dict[str, Listed]
    sha256: str


def seal(directory: Path) -> None:
    """Lists all files in a new directory."""
    files = {}
    for path in sorted(directory.iterdir()):
        values = _values(read_bytes(path)) if path.suffix == ".json" else {}
        files[path.name] = Listed((digest(path),), values=values)
    _store(directory, files)


def check(directory: Path, names: Collection[str], optional: Collection[str] = ()) -> tuple[str, ...]:
    """Verifies that the files in a directory match its manifest and are not links.

    Args:
      directory: Path of a run or of an exported model.
      names: Names of the files to verify if they exist.
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
                f"{directory} has no {MANIFEST}, so its files are not checked: they were written by an "
                "earlier version, or the manifest was deleted",
            )
        wrong = _first_wrong(directory, files, names, optional)
        if wrong is None:
            return ()
        if files == _load(directory):  # otherwise another process has written in the meantime
            raise ValueError(f"{wrong}; {_advice(directory)}")


def write(directory: Path, name: str, value: object) -> None:
    """Writes and lists a JSON file, replacing any file of that name."""
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
    """Reads the listed prefix of an append-only file; anything beyond it is an incomplete write.

    Raises:
      ValueError: The file does not match its checksum.
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
            raise ValueError(f"{path} has changed since it was written; {_advice(directory)}")


def grow(directory: Path, name: str, text: str) -> None:
    """Appends text to an append-only file, and syncs it to disk."""
    before = read_growing(directory, name)
    append_text(directory / name, text, after=len(before))
    _list_growing(directory, name, before + text.encode())


def shrink(directory: Path, name: str, length: int) -> None:
    """Truncates an append-only file to the given number of bytes."""
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
                return f"{path} has changed since it was written"
        elif digest(path) not in listed.sha256:
            return f"{path} has changed since it was written{_changes(path, listed)}"
    unlisted = [name for name in names if name not in files and (directory / name).exists()]
    return f"{directory / unlisted[0]} is not listed in {MANIFEST}" if unlisted else None


def _changes(path: Path, listed: Listed) -> str:
    """Names the values that have changed in a JSON file."""
    now = _values(read_bytes(path)) if listed.values else {}
    names = [name for name in listed.values | now if listed.values.get(name) != now.get(name)]
    more = " and others" if len(names) > SHOWN else ""
    return f" ({', '.join(names[:SHOWN])}{more})" if now and names else ""


def _values(content: bytes) -> dict[str, str]:
    """Returns short checksums of a JSON object's values; none for other content or for too many values."""
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
        raise ValueError(f"{path} has version {manifest.version}, expected {VERSION}")
    for name in manifest.files:
        if Path(name).name != name:
            raise ValueError(f"{path} lists {name!r}, expected only files in its directory")
    if manifest.sha256 != _digest_of(manifest.files):
        raise ValueError(f"{path} has changed since it was written; {_advice(directory)}")
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
    return f"restore it, or, if this is intended, delete {manifest} to turn off the check"
