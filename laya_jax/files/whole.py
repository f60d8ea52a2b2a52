"""Atomic writing of files and directories: they are complete or absent.

Symbolic links are not followed, and temporary names cannot be guessed.
"""

import errno
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from laya_jax.files.bounded import DIRECT


@contextmanager
def writing(
    path: str | Path, *, binary: bool = False, new: bool = False, errors: str = "strict"
) -> Iterator[IO[Any]]:
    """Opens a file that appears at its path, complete and synced to disk, when the block ends.

    If the block raises or the process dies, the path is as it was before.

    Args:
      path: Path of the file. A symbolic link there is replaced, not followed.
      binary: True for bytes, False for text (UTF-8, without newline conversion).
      new: True to raise if the file already exists, False to replace it. On Linux, a new file leaves no draft
        behind if the process is killed, if the file system supports that.
      errors: Handling of text that UTF-8 cannot encode, as in ``open``.

    Yields:
      The open file.

    Raises:
      FileExistsError: ``new`` is set and something exists at the path.
      OSError: The file cannot be written; the error names ``path``.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "greeting.txt"
    >>> with writing(path) as file:
    ...     _ = file.write("hello")
    ...     path.exists()
    False
    >>> path.read_text()
    'hello'
    """
    path = Path(path)
    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.draft")
    try:
        unnamed = _open_unnamed(path.parent) if new else None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | DIRECT
        descriptor = os.open(draft, flags, 0o666) if unnamed is None else unnamed
        try:
            text: dict[str, Any] = {} if binary else {"encoding": "utf-8", "newline": "", "errors": errors}
            with os.fdopen(descriptor, "wb" if binary else "w", **text) as file:
                yield file
                file.flush()
                os.fsync(descriptor)
                if unnamed is not None:
                    _link_unnamed(unnamed, path)
            if unnamed is None:
                _put(draft, path, new=new)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        _name(error, draft, path)
        raise


def write_text(path: str | Path, text: str, *, new: bool = False) -> None:
    """Writes a text file atomically, as ``writing`` does."""
    with writing(path, new=new) as file:
        file.write(text)


def write_json(path: str | Path, value: object, *, new: bool = False) -> None:
    """Writes a JSON file atomically, as ``writing`` does."""
    write_text(path, json.dumps(value, indent=1) + "\n", new=new)


@contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """Creates a directory that appears at its path, complete, when the block ends.

    Args:
      path: Path of the directory; missing parents are created.

    Yields:
      The directory to fill, under a temporary name next to ``path``. It is deleted if the block raises.

    Raises:
      FileExistsError: Something exists at the path.
      OSError: The directory cannot be written; the error names ``path``.
    """
    path = Path(path)
    if os.path.lexists(path):
        raise FileExistsError(f"{path} already exists, expected a new directory")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}-", dir=path.parent))
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        draft.chmod(0o777 & ~_umask())
        yield draft
        try:
            draft.rename(path)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                raise FileExistsError(f"{path} already exists, expected a new directory") from None
            raise
    except OSError as error:
        _name(error, draft, path)
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def append_text(path: str | Path, text: str, *, after: int) -> None:
    """Replaces everything after the first bytes of a file by a text, and syncs it to disk.

    Unlike ``writing``, this may leave a part of the text if the process dies or the disk is full.

    Args:
      path: Path of the file, which is created if it is missing. A symbolic link is refused; a hard link is
        replaced, so that the file's other names keep its content.
      text: Text to write.
      after: Number of bytes to keep.

    Raises:
      OSError: The file cannot be written; the error names ``path``.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | DIRECT, 0o666)
        with os.fdopen(descriptor, "r+b") as file:
            if os.fstat(descriptor).st_nlink > 1:  # as in a copy of a run by ``cp -al``
                with writing(path, binary=True) as own:
                    own.write(file.read(after) + text.encode())
                return
            file.truncate(after)
            file.seek(after)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(path)
        raise


def check_writable(path: str | Path) -> None:
    """Checks that a path can be written to, by creating a temporary file next to it.

    Args:
      path: Path of a file or directory. If its parents are missing, the nearest existing one is tried.

    Raises:
      OSError: Nothing can be created there; the error names ``path``.
    """
    path = Path(path)
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    try:
        tempfile.TemporaryFile(dir=parent).close()
        with suppress(FileNotFoundError):
            os.lstat(parent / path.name)  # fails if the file system refuses the name, as too long
    except OSError as error:
        error.filename = str(path)
        raise


def _open_unnamed(folder: Path) -> int | None:
    """Opens an unnamed temporary file in a folder; None if the system does not support that."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o666)
    except OSError:
        return None


def _link_unnamed(descriptor: int, path: Path) -> None:
    """Links an unnamed file to a path, unless something exists there."""
    try:
        # With src_dir_fd, Python follows the link in /proc to the file; the path is absolute.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
    except FileExistsError:
        raise FileExistsError(f"{path} already exists, expected a new file") from None


def _put(draft: Path, path: Path, *, new: bool) -> None:
    """Moves a complete draft to its path."""
    if not new:
        draft.replace(path)
        return
    try:
        os.link(draft, path)  # unlike a rename, never replaces what another process wrote meanwhile
    except FileExistsError:
        raise FileExistsError(f"{path} already exists, expected a new file") from None
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(f"{path} already exists, expected a new file") from None
        draft.replace(path)


def _name(error: OSError, draft: Path, path: Path) -> None:
    """Makes a system error name the requested path instead of its draft or nothing."""
    if error.errno is not None and str(error.filename or draft).startswith(str(draft)):
        error.filename = str(path)
        del error.filename2


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
