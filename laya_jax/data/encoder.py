"""Base class of text encoders, which convert texts to tokens and count information losses."""

import abc
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

PADDING = 0


class Encoded(NamedTuple):
    """Encoded texts, with counts of texts that lose information.

    Attributes:
      numbers: Token ids, [N, max_length] of int32, right-padded with 0.
      cut: Number of texts that are truncated to ``max_length``.
      unknown: Number of texts in which most of the kept words are unknown.
      empty: Number of texts without any word.
    """

    numbers: NDArray[np.int32]
    cut: int
    unknown: int
    empty: int


class TextEncoder(abc.ABC):
    """Converts texts to token ids, and is saved to a file with the content of ``to_text``.

    Attributes:
      FILE: Name of the file.
      UNIT: Plural noun for the units that a token id represents.
    """

    FILE: ClassVar[str]
    UNIT: ClassVar[str]

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Size of the vocabulary, including padding."""

    @property
    @abc.abstractmethod
    def unknown(self) -> int:
        """Token id of unknown words."""

    @abc.abstractmethod
    def read(self, texts: Sequence[str], max_length: int, keep: Literal["start", "end"]) -> Encoded:
        """Converts texts to token ids, and counts information losses.

        Args:
          texts: Texts of any length.
          max_length: Maximum number of tokens per text.
          keep: Part of a longer text to keep: its start or its end.
        """

    def encode(
        self, texts: Sequence[str], max_length: int, keep: Literal["start", "end"]
    ) -> NDArray[np.int32]:
        """Converts texts to token ids, [N, max_length]; arguments as for ``read``."""
        return self.read(texts, max_length, keep).numbers

    @abc.abstractmethod
    def decode(self, numbers: NDArray) -> str:
        """Converts token ids, [T], back to a readable text."""

    @abc.abstractmethod
    def to_text(self) -> str:
        """Returns the content of the encoder's file."""
