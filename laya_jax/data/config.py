"""Data settings of a run."""

import dataclasses
import difflib
import re
from pathlib import Path
from typing import Literal

from laya_jax.checks import check_choice, check_count, check_number

TITLES = {
    "digits": "Handwritten digits",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "imdb_reviews": "IMDB reviews",
}
"""Titles of the named data sets: scikit-learn's digits, and the paper's from tensorflow-datasets."""

DATA_SETS = tuple(TITLES)

PATHS = {
    "npz": "npz:FILE",
    "images": "images:FOLDER",
    "texts": "texts:FILE (.csv, .tsv, .jsonl, .json or .parquet)",
}
"""Kinds of user data, and the syntax of their sources."""

BACKGROUND = re.compile("white|black|#[0-9a-fA-F]{6}")
"""Valid background colours for transparent pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Data set to read, and how to read and split it.

    Attributes:
      source: Data source: digits (built in), fashion_mnist, cifar10 or imdb_reviews (tensorflow-datasets), or
        your own data: npz:FILE (inputs and labels), images:FOLDER (one sub-folder per class, optionally
        inside train/, validation/ or val/, and test/), texts:FILE (.csv, .tsv, .jsonl, .json or .parquet
        with one text and one label per row; all but .parquet also as .gz).
      directory: Path of the tensorflow-datasets directory; None uses its default.
      validation_fraction: Fraction of the training data held out to choose the best epoch.
      test_fraction: Fraction of the data held out for testing if the source has no test split.
      split: Method of choosing the held-out examples: shuffled (stratified by class) or last (the last
        examples, as in the paper; not for data sorted by class).
      split_seed: Random seed of shuffled splits, independent of the run's seed.
      normalize: True to standardise each channel with its mean and standard deviation on the training split.
        By default, features and floating-point images are standardised, and 8-bit images divided by 255.
      image_size: Height and width in pixels to which a folder's images are resized and centre-cropped, after
        applying their EXIF orientation. None requires all images to have the same size.
      background: Background colour for transparent pixels in a folder's images: white, black or #rrggbb.
      text_column: Name of the text column in a texts:FILE.
      label_column: Name of the label column in a texts:FILE.
      vocabulary_size: Maximum vocabulary size, including the padding and unknown tokens.
      max_length: Maximum number of words per text.
      keep: Part of a text longer than max_length to keep: its start or its end.
      label_noise: Fraction of the training labels to permute at random; 1 leaves nothing to learn. Used to
        test whether mislabelled examples are found and what attention looks like without true labels.
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
                f"data.label_column is {self.label_column!r}, expected a different one from data.text_column"
            )

    def _check_used(self) -> None:
        """Raises if an option is set that this source would silently ignore."""
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
    """Returns the kind of a source: "digits", "tfds", "npz", "images" or "texts".

    >>> kind_of("images:holidays"), kind_of("cifar10")
    ('images', 'tfds')

    Raises:
      ValueError: The source is neither a named data set nor user data.
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
    """Returns True for user data, False for a named data set.

    >>> is_own("npz:points.npz"), is_own("digits")
    (True, False)
    """
    return kind_of(source) in PATHS


def path_of(source: str) -> Path:
    """Returns the path of user data.

    >>> path_of("npz:folder/file.npz").name
    'file.npz'
    """
    return Path(source.partition(":")[2]).expanduser()


def title_of(source: str) -> str:
    """Returns a title for a source: that of a named data set, or the name of the folder or file.

    >>> title_of("fashion_mnist"), title_of("images:data/birds/"), title_of("texts:data/reviews.csv.gz")
    ('Fashion-MNIST', 'birds', 'reviews')
    """
    if not is_own(source):
        return TITLES[source]
    path = path_of(source)
    return (path.name if kind_of(source) == "images" else path.name.partition(".")[0]) or kind_of(source)
