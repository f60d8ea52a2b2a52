"""Settings of the data that a run reads."""

import dataclasses
import difflib
import re
from pathlib import Path
from typing import Literal

from laya_jax.checks import check_choice, check_count, check_number

DATA_SETS = ("digits", "fashion_mnist", "cifar10", "imdb_reviews")
"""Data sets by name: scikit-learn's embedded digits, and those of tensorflow-datasets that the paper uses."""

PATHS = {
    "npz": "npz:FILE",
    "images": "images:FOLDER",
    "texts": "texts:FILE (.csv, .tsv, .jsonl, .json or .parquet)",
}
"""Kinds of data of one's own, and how they are written."""

BACKGROUND = re.compile("white|black|#[0-9a-fA-F]{6}")
"""Colours that may be behind transparent pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Data set to read, and how to read and split it.

    Attributes:
      source: digits (embedded), fashion_mnist, cifar10 or imdb_reviews (by tensorflow-datasets), or data of
        your own: npz:FILE (inputs, labels), images:FOLDER (a sub-folder a class, or train/, validation/ or
        val/, and test/ of such), texts:FILE (.csv, .tsv, .jsonl, .json or .parquet with a text and a label
        per row; all but the last also as .gz).
      directory: Path of the files of tensorflow-datasets; None takes its own default.
      validation_fraction: Fraction of the training data that is held out to choose the best epoch.
      test_fraction: Fraction of the data that is held out for testing if the source has no test split.
      split: Kind of examples to hold out: shuffled ones, of every class in proportion, or the last ones (as
        in the paper; not for data that are ordered by class).
      split_seed: Random seed of shuffled splits, which the seed of the run leaves alone.
      normalize: True to bring every channel to mean 0 and standard deviation 1, as measured on the training
        split. By default features and images of floats are, and images of bytes are divided by 255.
      image_size: Height and width in pixels to which a folder's images are resized, keeping the middle of one
        that is not square. None expects all images to be of one size. Images are turned upright first, as
        their EXIF orientation tells.
      background: Colour behind the transparent pixels of a folder's images: white, black or #rrggbb.
      text_column: Name of the column that holds the texts of a texts:FILE.
      label_column: Name of the column that holds their labels.
      vocabulary_size: Maximum number of different words, padding and the unknown word included.
      max_length: Maximum number of words per text.
      keep: End of a longer text that is read.
      label_noise: Fraction of the training labels that are shuffled among themselves; 1 leaves nothing to
        learn. It shows whether wrong labels are found, and what attention looks like without right ones.
    """

    source: str = "digits"
    directory: str | None = None
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    split: Literal["last", "shuffled"] = "shuffled"
    split_seed: int = 0
    normalize: bool | None = None
    image_size: int | None = None
    text_column: str = "text"
    label_column: str = "label"
    background: str = "white"
    vocabulary_size: int = 20_000
    max_length: int = 256
    keep: Literal["start", "end"] = "start"
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        kind_of(self.source)
        for name in ("validation_fraction", "test_fraction"):
            check_number(f"data.{name}", getattr(self, name), lambda share: 0 < share < 1, "between 0 and 1")
        check_number("data.label_noise", self.label_noise, lambda share: 0 <= share <= 1, "between 0 and 1")
        check_choice("data.split", self.split, ("last", "shuffled"))
        check_count("data.split_seed", self.split_seed, least=0)
        if self.image_size is not None:
            check_count("data.image_size", self.image_size)
        if not (isinstance(self.background, str) and BACKGROUND.fullmatch(self.background)):
            raise ValueError(f"data.background is {self.background!r}, expected white, black or #rrggbb")
        check_count("data.vocabulary_size", self.vocabulary_size, least=3)
        check_count("data.max_length", self.max_length)
        check_choice("data.keep", self.keep, ("start", "end"))
        self._check_columns()
        self._check_used()

    def _check_columns(self) -> None:
        for name in ("text_column", "label_column"):
            column = getattr(self, name)
            if not isinstance(column, str) or not column.strip():
                raise ValueError(f"data.{name} is {column!r}, expected the name of a column")
        if self.text_column.strip().casefold() == self.label_column.strip().casefold():
            raise ValueError(
                f"data.label_column is {self.label_column!r}, expected another one than data.text_column"
            )

    def _check_used(self) -> None:
        """An option that this source does not read would be passed over without a word."""
        texts = kind_of(self.source) == "texts" or self.source == "imdb_reviews"
        used = {
            "directory": kind_of(self.source) == "tfds",
            **dict.fromkeys(("text_column", "label_column"), kind_of(self.source) == "texts"),
            **dict.fromkeys(("image_size", "background"), kind_of(self.source) == "images"),
            **dict.fromkeys(("vocabulary_size", "max_length", "keep"), texts),
        }
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default and not used.get(field.name, True):
                raise ValueError(
                    f"data.{field.name} is {value!r}, expected {field.default!r} for {self.source!r}, which "
                    "does not use it"
                )


def kind_of(source: str) -> str:
    """Kind of a source: "digits", "tfds", "npz", "images" or "texts".

    >>> kind_of("images:holidays"), kind_of("cifar10")
    ('images', 'tfds')

    Raises:
      ValueError: The source is neither the name of a data set nor data of one's own.
    """
    if source in DATA_SETS:
        return "digits" if source == "digits" else "tfds"
    kind, colon, path = source.partition(":")
    if colon and path and kind in PATHS:
        return kind
    near = difflib.get_close_matches(source, DATA_SETS, n=1)
    raise ValueError(
        f"data.source is {source!r}"
        + (f" (did you mean {near[0]!r}?)" if near else "")
        + f", expected one of {', '.join(map(repr, DATA_SETS))}, or {', '.join(PATHS.values())}"
    )


def is_own(source: str) -> bool:
    """True for data of one's own, false for a data set by name.

    >>> is_own("npz:points.npz"), is_own("digits")
    (True, False)
    """
    return kind_of(source) in PATHS


def path_of(source: str) -> Path:
    """The path of data of one's own.

    >>> path_of("npz:folder/file.npz").name
    'file.npz'
    """
    return Path(source.partition(":")[2]).expanduser()
