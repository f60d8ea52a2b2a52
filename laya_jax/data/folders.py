"""Assignment of the files in an image folder to splits and classes.

A split is a top-level folder with one of the names in ``SPLITS``; a class is a top-level folder, or one
directly inside a split, and contains all files below it at any depth. Hidden files and folders are ignored.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

SPLITS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Splits by folder name, case-insensitive."""

_WORDS = re.compile(r"[\W_\d]+|(?<=[a-z])(?=[A-Z])")
_SUFFIX = re.compile(r"(?<=.)(set|data|split|images)$")

LITTER = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("__macosx", "@eadir", "#recycle", "@recycle", "lost+found"),
    }
)
"""Names, in lower case, of files left behind by operating systems and archivers; hidden like dotfiles."""

SHOWN_SUFFIXES = 4
"""Maximum number of suffixes that are counted separately."""


def splits_in(folder: Path) -> dict[str, Path]:
    """Finds the folders of the splits train, validation and test; empty if the sub-folders are classes.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("Train", "TEST"):
    ...     (folder / name).mkdir()
    >>> {split: path.name for split, path in splits_in(folder).items()}
    {'train': 'Train', 'test': 'TEST'}

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: Split folders and other folders are mixed, two folders are for the same split, or
        folders seem to be splits under other names.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    names = [path.name for path in _visible(folder) if path.is_dir()]
    splits = {name: SPLITS[_plain(name)] for name in names if _plain(name) in SPLITS}
    has = f"{folder} has the folders {', '.join(map(readable, names))}"
    if not splits:
        _refuse_decorated(has, names)
        return {}
    if len(splits) < len(names):
        raise ValueError(
            f"{has}, expected only train, validation (or val) and test, or only classes; if "
            f"{next(iter(splits))} is a class, move all of them into a folder named train"
        )
    if len(set(splits.values())) < len(names):
        raise ValueError(f"{has}, expected train, validation (or val) and test, one folder for each")
    order = list(dict.fromkeys(SPLITS.values()))
    return {
        split: folder / name for name, split in sorted(splits.items(), key=lambda item: order.index(item[1]))
    }


def classes_in(folder: Path) -> dict[str, list[Path]]:
    """Lists the files of a split, or of a folder without splits, by class, in alphabetical order.

    Entries that are not regular files, such as broken links, or links to folders inside a class, are included
    so that they can be counted.
    """
    folders = [path for path in _visible(folder) if path.is_dir()]
    names = unique(readable(path.name) for path in folders)
    return {name: in_order(_below(path)) for name, path in zip(names, folders, strict=True)}


def beside_classes(folder: Path) -> list[Path]:
    """Lists the files directly in a folder."""
    return [path for path in _visible(folder) if not path.is_dir()]


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Sorts paths alphabetically, folder by folder, independent of the locale."""
    return sorted(paths, key=lambda path: readable(str(path)).split(os.sep))


def readable(name: str) -> str:
    r"""Makes a name encodable as UTF-8 by escaping bytes that are not UTF-8.

    >>> readable("caf\udce9.png")
    'caf\\xe9.png'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def unique(names: Iterable[str]) -> list[str]:
    """Makes names unique by appending a number to repeated ones.

    >>> unique(["a", "b", "a"])
    ['a', 'b', 'a (2)']
    """
    taken: dict[str, None] = {}
    for name in names:
        number, free = 2, name
        while free in taken:
            number, free = number + 1, f"{name} ({number})"
        taken[free] = None
    return list(taken)


def names_of(paths: Sequence[Path], folder: Path) -> list[str]:
    """Returns the names of files relative to a folder, with "/" as separator, unique and valid UTF-8."""
    return unique(readable(path.relative_to(folder).as_posix()) for path in paths)


def lookalikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups names that differ only in case, white space or Unicode normalisation.

    >>> lookalikes(["cat", "dog", "Cat "])
    [('cat', 'Cat ')]
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        same = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        groups.setdefault(same, []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def counted_suffixes(paths: Iterable[Path]) -> str:
    """Counts files by suffix, the most frequent first.

    >>> counted_suffixes([Path("a.txt"), Path("b.heic"), Path("c.HEIC"), Path("complete")])
    '.heic 2, .txt 1, no suffix 1'
    """
    counts = Counter(readable(path.suffix.lower()) or "no suffix" for path in paths).most_common()
    more = f" and {len(counts) - SHOWN_SUFFIXES} more kinds" if len(counts) > SHOWN_SUFFIXES else ""
    return ", ".join(f"{suffix} {count:,}" for suffix, count in counts[:SHOWN_SUFFIXES]) + more


def is_hidden(name: str) -> bool:
    """Returns True for the name of a hidden file.

    >>> is_hidden(".ipynb_checkpoints"), is_hidden("__MACOSX"), is_hidden("cat")
    (True, True, False)
    """
    return name.startswith(".") or _plain(name) in LITTER


def _refuse_decorated(has: str, names: Sequence[str]) -> None:
    """Raises for names such as training_set and test_set, which would be read as classes."""
    found = {name: split for name in names for split in _splits_among(name)}
    if "train" in found.values() and len(set(found.values())) > 1:
        raise ValueError(
            f"{has}, of which {' and '.join(map(readable, found))} seem to be splits, expected the names "
            "train, validation (or val) and test; if they are classes, put all folders into a folder train"
        )


def _splits_among(name: str) -> set[str]:
    """Returns the splits named by the words of a folder's name."""
    words = (_SUFFIX.sub("", word.lower()) for word in _WORDS.split(name))
    return {SPLITS[word] for word in words if word in SPLITS}


def _plain(name: str) -> str:
    return name.strip().lower()


def _visible(folder: Path) -> list[Path]:
    """Lists the entries of a folder that are not hidden, in order."""
    return in_order(folder / name for name in os.listdir(folder) if not is_hidden(name))


def _below(folder: Path) -> list[Path]:
    """Lists all entries below a folder except folders, without following links to folders."""
    found: list[Path] = []
    left = [folder]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if not is_hidden(entry.name):
                    (left if entry.is_dir(follow_symlinks=False) else found).append(Path(entry.path))
    return found
