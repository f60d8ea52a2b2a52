"""Files that are whole or absent, JSON, checksums, locks, and the place of caches.

Nothing that is written here follows a symbolic link, and drafts have names that cannot be guessed.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

LARGEST_TEXT = 2**28
"""Bytes of the largest text file of our own that is read: a hostile one must not fill the memory."""

_DIRECT = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def writing(
    path: str | Path, *, binary: bool = False, new: bool = False, errors: str = "strict"
) -> Iterator[IO[Any]]:
    """Opens a file that appears under its name, complete and on disk, when the block ends.

    If the block raises, or the process dies in it, nothing is left under the name (or what was there before).

    Args:
      path: Path of the file. A symbolic link there is replaced, not followed.
      binary: True for bytes, False for text (UTF-8, newlines kept as they are).
      new: True to raise if the file exists already, False to replace it. A new file leaves no draft behind if
        the process is killed, where Linux allows it.
      errors: Treatment of text that UTF-8 cannot hold, as in ``open``.

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
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _DIRECT
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
    """Writes a text file as ``writing`` does."""
    with writing(path, new=new) as file:
        file.write(text)


def write_json(path: str | Path, value: Any, *, new: bool = False) -> None:
    """Writes a JSON file as ``writing`` does."""
    write_text(path, json.dumps(value, indent=1) + "\n", new=new)


@contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """Makes a directory that appears under its name, complete, when the block ends.

    Args:
      path: Path of the directory; missing parents are made.

    Yields:
      The directory to fill, under a temporary name beside ``path``. It is deleted if the block raises.

    Raises:
      FileExistsError: Something exists at the path.
      OSError: The directory cannot be written; the error names ``path``.
    """
    path = Path(path)
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists already, expected a new directory")
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
                raise FileExistsError(f"{path} exists already, expected a new directory") from None
            raise
    except OSError as error:
        _name(error, draft, path)
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def append_text(path: str | Path, text: str, *, after: int) -> None:
    """Puts text after the first bytes of a file, in place of what follows them, on disk before it returns.

    Unlike ``writing``, it leaves a part of the text if the process dies or the disk is full.

    Args:
      path: Path of the file, which is made if it is missing. A symbolic link is refused.
      text: Text to put there.
      after: Number of bytes that stay.

    Raises:
      OSError: The file cannot be written; the error names ``path``.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _DIRECT, 0o666)
        with os.fdopen(descriptor, "r+b") as file:
            file.truncate(after)
            file.seek(after)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(path)
        raise


def check_writable(path: str | Path) -> None:
    """Raises unless something new can be made at a path: a draft is made beside it, and deleted.

    Args:
      path: Path of a file or directory. Of missing parents, the nearest one that exists is tried.

    Raises:
      OSError: Nothing can be made there; the error names ``path``.
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


@contextmanager
def reading(path: str | Path) -> Iterator[BufferedReader]:
    """Opens a regular file to read bytes.

    Args:
      path: Path of the file; a symbolic link is refused.

    Yields:
      The open file.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is a link, no regular file, or cannot be read.
    """
    path = Path(path)
    try:
        # A pipe must not make this wait for somebody who writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _DIRECT)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(f"{path} cannot be read: it is not a regular file")
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "it is a symbolic link" if path.is_symlink() else error.strerror
        raise ValueError(f"{path} cannot be read: {reason}") from error


def read_bytes(path: str | Path, largest: int = LARGEST_TEXT) -> bytes:
    """Reads a file of our own.

    Args:
      path: Path of a regular file; a symbolic link is refused.
      largest: Maximum size in bytes.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is a link, too large or cannot be read.
    """
    with reading(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise ValueError(f"{path} has {size:,} bytes, expected at most {largest:,}")
        return file.read()


def read_text(path: str | Path, largest: int = LARGEST_TEXT) -> str:
    """Reads a UTF-8 text file of our own, whatever the locale.

    Args:
      path: Path of a regular file; a symbolic link is refused.
      largest: Maximum size in bytes.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is a link, too large, not UTF-8 or cannot be read.
    """
    try:
        return read_bytes(path, largest).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error


def read_json(path: str | Path) -> Any:
    """Reads a JSON file of our own.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read as JSON; the message names it.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is no JSONDecodeError
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} cannot be read as JSON: {reason}") from error


def refuse_links(directory: str | Path) -> None:
    """Raises if anything inside a directory that somebody may have sent is neither a file nor a folder.

    Symbolic links lead elsewhere, and pipes and devices may never come to an end.

    Args:
      directory: Path of the directory, which itself may be a link.

    Raises:
      ValueError: There is a link, a pipe or the like; the message names it.
    """
    for folder, folders, files in os.walk(directory, followlinks=False):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            with suppress(FileNotFoundError):  # another process may clean up here
                mode = os.lstat(path).st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    what = "a symbolic link" if stat.S_ISLNK(mode) else "a pipe, a device or the like"
                    raise ValueError(f"{path} is {what}, expected a regular file or folder")


def digest(path: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is a symbolic link, or cannot be read.
    """
    with reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: str | Path, *, wait: bool) -> Iterator[None]:
    """Holds a lock among the processes of this machine; it is free again once this process has ended.

    Args:
      path: Path of the lock file, which is made if it is missing.
      wait: True to wait until another process releases the lock, False to raise.

    Raises:
      BlockingIOError: Another process holds the lock and ``wait`` is false.
      ValueError: The path is a symbolic link.
    """
    # Importing the heads alone needs no filelock.
    from filelock import FileLock, Timeout

    path = Path(path)
    if path.is_symlink():
        raise ValueError(f"{path} is a symbolic link, expected a lock file")
    try:
        with FileLock(path, timeout=-1 if wait else 0):
            yield
    except Timeout:
        raise BlockingIOError(f"{path} is locked by another process") from None


def cache_home() -> Path:
    """Directory of this library's caches, which may be deleted at any time.

    ``laya_jax`` in ``$XDG_CACHE_HOME``, or in ``~/.cache`` where that is unset or empty, or in the system's
    folder for temporary files where there is no home directory.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "laya_jax"
    try:
        return Path.home() / ".cache" / "laya_jax"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"laya_jax-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"


def _open_unnamed(folder: Path) -> int | None:
    """Opens a file that has no name yet, in a folder; None where there are no such files."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o666)
    except OSError:
        return None


def _link_unnamed(descriptor: int, path: Path) -> None:
    """Gives a file without a name its name, unless something else has it."""
    try:
        # With src_dir_fd, Python follows the link in /proc to the file; the path is absolute.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
    except FileExistsError:
        raise FileExistsError(f"{path} exists already, expected a new file") from None


def _put(draft: Path, path: Path, *, new: bool) -> None:
    """Gives a complete draft its name."""
    if not new:
        draft.replace(path)
        return
    try:
        os.link(draft, path)  # unlike a rename, never replaces what another process wrote meanwhile
    except FileExistsError:
        raise FileExistsError(f"{path} exists already, expected a new file") from None
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(f"{path} exists already, expected a new file") from None
        draft.replace(path)


def _name(error: OSError, draft: Path, path: Path) -> None:
    """Makes an error of the system name the path that was asked for rather than its draft, or nothing."""
    if error.errno is not None and str(error.filename or draft).startswith(str(draft)):
        error.filename = str(path)
        del error.filename2


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
