"""Checks of output paths, before anything is computed."""

from collections.abc import Sequence
from pathlib import Path

from laya_jax.checks import check_choice
from laya_jax.files import check_writable
from laya_jax.training import check_is_new


def check_new_file(path: Path, suffixes: Sequence[str]) -> None:
    """Raises unless a new file with one of the suffixes can be written at a path.

    Raises:
      FileExistsError: Something exists at the path.
      FileNotFoundError: The folder of the path is missing.
      ValueError: The path has another suffix, is not local, or cannot be written.

    >>> check_new_file(Path("predictions.txt"), (".csv", ".jsonl"))
    Traceback (most recent call last):
      ...
    ValueError: suffix of out is '.txt', expected one of '.csv', '.jsonl'
    >>> check_new_file(Path("no-such-folder/report.html"), (".html",))
    Traceback (most recent call last):
      ...
    FileNotFoundError: out is no-such-folder/report.html, but there is no folder no-such-folder
    """
    check_choice("suffix of out", path.suffix, suffixes)
    check_is_new(path, "out")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"out is {path}, but there is no folder {path.parent}")
    _check_writable(path)


def check_new_directory(path: Path, name: str = "out") -> None:
    """Raises unless a new directory can be made at a path; its parents may be missing.

    Args:
      path: Path of the directory.
      name: Name of the argument, for messages.

    Raises:
      FileExistsError: Something exists at the path.
      ValueError: The path is not local, or cannot be written.

    >>> check_new_directory(Path("/dev/null/attribution"))
    Traceback (most recent call last):
      ...
    ValueError: out is /dev/null/attribution, which cannot be written: Not a directory
    """
    check_is_new(path, name)
    _check_writable(path, name)


def _check_writable(path: Path, name: str = "out") -> None:
    try:
        check_writable(path)
    except OSError as error:
        raise ValueError(f"{name} is {path}, which cannot be written: {error.strerror}") from error
