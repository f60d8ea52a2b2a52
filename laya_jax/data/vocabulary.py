"""Encoding of texts with a vocabulary: 0 is padding, 1 the unknown word, 2 the most frequent word."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.encoder import PADDING, Encoded, TextEncoder
from laya_jax.data.words import Segmentation, split_into_words

UNKNOWN, FIRST = 1, 2
HEADER = "# words by "
"""Prefix of a file's first line, which names the segmentation; no word contains a space. Files without this
line use "letters", the only segmentation of earlier versions."""


@dataclasses.dataclass(frozen=True)
class Vocabulary(TextEncoder):
    """Vocabulary of the most frequent words of the training texts.

    >>> Vocabulary(("c", "a")).encode(["c x a", "a"], max_length=2, keep="start")
    array([[2, 1],
           [3, 0]], dtype=int32)

    Attributes:
      words: Words in the order of their ids, starting from 2.
      segmentation: Word segmentation.
    """

    words: tuple[str, ...]
    segmentation: Segmentation = "unicode"

    FILE: ClassVar[str] = "vocabulary.txt"
    UNIT: ClassVar[str] = "words"
    unknown: ClassVar[int] = UNKNOWN

    @property
    def size(self) -> int:
        """Size of the vocabulary, including the padding and unknown tokens."""
        return FIRST + len(self.words)

    def read(self, texts: Sequence[str], max_length: int, keep: Literal["start", "end"]) -> Encoded:
        """Converts texts to token ids, and counts those that are truncated, mostly unknown or empty."""
        numbers = {word: number for number, word in enumerate(self.words, FIRST)}
        cut = slice(max_length) if keep == "start" else slice(-max_length, None)
        encoded = np.full((len(texts), max_length), PADDING, np.int32)
        lengths = np.zeros(len(texts), np.int64)
        for index, text in enumerate(texts):
            words = split_into_words(text, self.segmentation)
            known = [numbers.get(word, UNKNOWN) for word in words[cut]]
            encoded[index, : len(known)] = known
            lengths[index] = len(words)
        unknown = (encoded == UNKNOWN).sum(axis=1)
        mostly = 2 * unknown > np.minimum(lengths, max_length)
        return Encoded(encoded, *(int(np.sum(each)) for each in (lengths > max_length, mostly, lengths == 0)))

    def decode(self, numbers: NDArray) -> str:
        """Converts token ids, [T], back to a text without padding; unknown words become an ellipsis.

        >>> Vocabulary(("good", "film")).decode(np.array([2, 1, 3, 0]))
        'good … film'
        """
        return " ".join(
            "…" if number == UNKNOWN else self.words[number - FIRST] for number in numbers if number
        )

    def to_text(self) -> str:
        """Returns the file content: the segmentation, unless it is "letters", and one word per line."""
        header = "" if self.segmentation == "letters" else f"{HEADER}{self.segmentation}\n"
        return header + "".join(f"{word}\n" for word in self.words)

    @classmethod
    def from_text(cls, text: str) -> "Vocabulary":
        """Constructs a vocabulary from the output of ``to_text``.

        >>> Vocabulary.from_text(Vocabulary(("c", "a")).to_text())
        Vocabulary(words=('c', 'a'), segmentation='unicode')

        Raises:
          ValueError: The segmentation is unknown, for example from a later version.
        """
        if not text.startswith(HEADER):
            return cls(tuple(text.split("\n")[:-1]), "letters")
        header, _, words = text.partition("\n")
        segmentation = header.removeprefix(HEADER)
        if segmentation != "unicode":
            raise ValueError(
                f"{cls.FILE} has word segmentation {segmentation!r}, expected 'unicode' or no such line"
            )
        return cls(tuple(words.split("\n")[:-1]), "unicode")

    @classmethod
    def of_texts(
        cls, texts: Iterable[str], size: int, segmentation: Segmentation = "unicode"
    ) -> "Vocabulary":
        """Builds a vocabulary of the most frequent words, with ties in alphabetical order.

        Args:
          texts: Training texts.
          size: Maximum size of the vocabulary, including the padding and unknown tokens.
          segmentation: Word segmentation.

        >>> Vocabulary.of_texts(["b a c", "c"], size=4).words
        ('c', 'a')
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split_into_words(text, segmentation))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls(tuple(word for word, _ in ranked[: size - FIRST]), segmentation)
