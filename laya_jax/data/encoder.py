"""Base of the encoders of texts, which make the numbers that a model reads and count what is lost."""

import abc
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

PADDING = 0


class Encoded(NamedTuple):
    """Texts as numbers, and counts of those that a model cannot read well.

    Attributes:
      numbers: Numbers of the words, [N, max_length] of int32, filled up with 0 on the right.
      cut: Number of texts that are longer than ``max_length``.
      unknown: Number of texts of which most words that are read are unknown.
      empty: Number of texts without a word.
    """

    numbers: NDArray[np.int32]
    cut: int
    unknown: int
    empty: int


class TextEncoder(abc.ABC):
    """Turns texts into numbers. The file that it is kept in is made of ``to_text``.

    Attributes:
      FILE: Name of the file.
      UNIT: Plural noun for what a number stands for.
    """

    FILE: ClassVar[str]
    UNIT: ClassVar[str]

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number of different numbers, padding included."""

    @property
    @abc.abstractmethod
    def unknown(self) -> int:
        """Number of whatever is unknown."""

    @abc.abstractmethod
    def read(self, texts: Sequence[str], max_length: int, keep: Literal["start", "end"]) -> Encoded:
        """Turns texts into numbers, and counts those that it cannot do justice to.

        Args:
          texts: Texts of any length.
          max_length: Maximum number of words that are read of a text.
          keep: End of a longer text that is read.
        """

    def encode(
        self, texts: Sequence[str], max_length: int, keep: Literal["start", "end"]
    ) -> NDArray[np.int32]:
        """Turns texts into numbers, [N, max_length]; arguments as those of ``read``."""
        return self.read(texts, max_length, keep).numbers

    @abc.abstractmethod
    def decode(self, numbers: NDArray) -> str:
        """Turns numbers, [T], back into a text to show."""

    @abc.abstractmethod
    def to_text(self) -> str:
        """Content of the file that it is kept in."""
