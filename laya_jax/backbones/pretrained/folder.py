"""Files in the folder of a pretrained model, as people have them: links, downloads gone wrong."""

import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from laya_jax import files

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"

LFS_POINTER, WEB_PAGE = b"version https://git-lfs", (b"<!doctype html", b"<html")
"""First bytes of what is often found in the place of a file."""


def check_folder(path: Path) -> None:
    """Raises unless this is a folder with something in it.

    Raises:
      FileNotFoundError: There is no such folder, or nothing in it.
      ValueError: The path is of a file.
    """
    if path.is_dir():
        if not any(path.iterdir()):
            raise FileNotFoundError(f"no pretrained model in {path}: the folder is empty")
        return
    if path.exists():
        raise ValueError(
            f"{path} is a file, expected the folder that holds {CONFIG} and {WEIGHTS}, such as {path.parent}"
        )
    # The name of a model on the hub is a relative path of two parts.
    on_hub = not path.is_absolute() and len(path.parts) == 2 and not path.parts[0].startswith(".")
    hint = f"; for the hub's, write hub:{path.as_posix()}" if on_hub else ""
    raise FileNotFoundError(f"no pretrained model in {path}: there is no such folder{hint}")


def check_file(path: Path) -> None:
    """Raises unless this is a file with content of its own.

    Raises:
      FileNotFoundError: There is no such file, or a link to it leads nowhere.
      ValueError: It is empty, a Git LFS pointer or a web page, or cannot be read.
    """
    if not path.is_file():
        lost = f", only a link to {path.readlink()}, which is not there" if path.is_symlink() else ""
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
      ValueError: It cannot be read.
    """
    text: str = _read(files.read_text, path)
    return text


def read_json(path: Path) -> Any:
    """Reads a JSON file of a pretrained model; raises as ``read_text`` does."""
    return _read(files.read_json, path)


def read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON object of a pretrained model; raises as ``read_text`` does."""
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds {shown(values)}, expected a JSON object")
    return values


def _read(read: Callable[[Path], Any], path: Path) -> Any:
    """Reads a file through links, of which the hub's cache consists, and which our own files may not be."""
    check_file(path)
    real = path.resolve()
    try:
        return read(real)
    except ValueError as error:
        raise ValueError(str(error).replace(str(real), str(path))) from error


def shown(value: Any) -> str:
    """A value as a message shows it: in Python's notation, shortened.

    >>> shown({"height": 224}), shown("a" * 100)
    ("{'height': 224}", "'aaaaaaaaaaaa...aaaaaaaaaaaaa'")
    """
    return reprlib.repr(value)
