"""Reading of files in a pretrained model's folder, including links and failed downloads."""

import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from laya_jax import files
from laya_jax.typing import JsonObject

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"

T = TypeVar("T")

LFS_POINTER, WEB_PAGE = b"version https://git-lfs", (b"<!doctype html", b"<html")
"""First bytes of common placeholders for a file."""


def check_folder(path: Path) -> None:
    """Checks that a path is a non-empty folder.

    Raises:
      FileNotFoundError: There is no such folder, or it is empty.
      ValueError: The path is a file.
    """
    if path.is_dir():
        if not any(path.iterdir()):
            raise FileNotFoundError(f"no pretrained model in {path}: the folder is empty")
        return
    if path.exists():
        raise ValueError(
            f"{path} is a file, expected the folder that holds {CONFIG} and {WEIGHTS}, such as {path.parent}"
        )
    # The name of a model on the hub looks like a relative path with two parts.
    on_hub = not path.is_absolute() and len(path.parts) == 2 and not path.parts[0].startswith(".")
    hint = f"; for a model on the hub, write hub:{path.as_posix()}" if on_hub else ""
    raise FileNotFoundError(f"no pretrained model in {path}: there is no such folder{hint}")


def check_file(path: Path) -> None:
    """Checks that a path is a file with actual content.

    Raises:
      FileNotFoundError: There is no such file, or it is a broken link.
      ValueError: The file is empty, a Git LFS pointer or a web page, or cannot be read.
    """
    if not path.is_file():
        lost = f", only a link to {path.readlink()}, which does not exist" if path.is_symlink() else ""
        raise FileNotFoundError(f"no pretrained model in {path.parent}: it has no {path.name}{lost}")
    try:
        with path.open("rb") as file:
            start = file.read(100)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if not start:
        raise ValueError(f"{path} is empty, expected its content: download it again")
    if start.startswith(LFS_POINTER):
        raise ValueError(
            f"{path} is a Git LFS pointer, expected the file it stands for: run git lfs pull in {path.parent}"
        )
    if start.lstrip().lower().startswith(WEB_PAGE):
        raise ValueError(f"{path} is a web page, expected the file itself: download it again")


def read_text(path: Path) -> str:
    """Reads a text file of a pretrained model.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file cannot be read.
    """
    return _read(files.read_text, path)


def read_json(path: Path) -> Any:
    """Reads a JSON file of a pretrained model; raises as ``read_text`` does."""
    return _read(files.read_json, path)


def read_object(path: Path) -> JsonObject:
    """Reads a JSON object of a pretrained model; raises as ``read_text`` does."""
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds {shown(values)}, expected a JSON object")
    return values


def _read(read: Callable[[Path], T], path: Path) -> T:
    """Reads a file, following links, which the hub's cache consists of and which our own files may not be."""
    check_file(path)
    real = path.resolve()
    try:
        return read(real)
    except ValueError as error:
        raise ValueError(str(error).replace(str(real), str(path))) from error


def shown(value: object) -> str:
    """Formats a value for a message: its repr, shortened.

    >>> shown({"height": 224}), shown("a" * 100)
    ("{'height': 224}", "'aaaaaaaaaaaa...aaaaaaaaaaaaa'")
    """
    return reprlib.repr(value)
