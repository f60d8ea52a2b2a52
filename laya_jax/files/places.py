"""Locks among processes, and the directory of caches."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: str | Path, *, wait: bool) -> Iterator[None]:
    """Holds a lock among the processes of this machine, which is released at the latest when this one ends.

    Args:
      path: Path of the lock file, which is created if it is missing.
      wait: True to wait until another process releases the lock, False to raise.

    Raises:
      BlockingIOError: Another process holds the lock and ``wait`` is false.
      ValueError: The path is a symbolic link.
    """
    # Imported here because the heads alone do not need filelock.
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
    """Returns the directory of this library's caches, which may be deleted at any time.

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
