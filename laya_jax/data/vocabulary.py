"""Texts as numbers: 0 is padding, 1 any word that the vocabulary does not have, 2 the most frequent one."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

PADDING, UNKNOWN, FIRST = 0, 1, 2
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


class TextEncoder(Protocol):
    """Turns texts into numbers. The file that it is kept in is made of ``to_text``.

    Attributes:
      FILE: name of the file.
      size: numbers there are, padding included.
      unknown: number of what stands for any other word.
    """

    FILE: ClassVar[str]

    @property
    def size(self) -> int:
        """Numbers there are, padding included."""

    @property
    def unknown(self) -> int:
        """Number of what stands for any other word."""

    def encode(
        self, texts: Sequence[str], max_length: int, keep: Literal["start", "end"]
    ) -> NDArray[np.int32]:
        """Texts as numbers, [N, max_length], filled up with 0 on the right."""

    def decode(self, numbers: NDArray) -> str:
        """A text as it is shown, [T]; padding is left out."""

    def to_text(self) -> str:
        """What the file that it is kept in holds."""


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The words that were frequent in the texts to train on.

    >>> Vocabulary(("c", "a")).encode(["c x a", "a"], max_length=2, keep="start")
    array([[2, 1],
           [3, 0]], dtype=int32)

    Attributes:
      words: by number, from 2 on.
    """

    words: tuple[str, ...]

    FILE: ClassVar[str] = "vocabulary.txt"
    unknown: ClassVar[int] = UNKNOWN

    @property
    def size(self) -> int:
        """Numbers there are, padding and unknown words included."""
        return FIRST + len(self.words)

    def encode(
        self, texts: Sequence[str], max_length: int, keep: Literal["start", "end"]
    ) -> NDArray[np.int32]:
        """Texts as numbers, [N, max_length], filled up with 0 on the right."""
        numbers = {word: number for number, word in enumerate(self.words, FIRST)}
        cut = slice(max_length) if keep == "start" else slice(-max_length, None)
        encoded = np.full((len(texts), max_length), PADDING, np.int32)
        for row, text in zip(encoded, texts, strict=True):
            known = [numbers.get(word, UNKNOWN) for word in split_into_words(text)[cut]]
            row[: len(known)] = known
        return encoded

    def decode(self, numbers: NDArray) -> str:
        """A text as it is shown, [T]: padding is left out, unknown words are an ellipsis.

        >>> Vocabulary(("good", "film")).decode(np.array([2, 1, 3, 0]))
        'good … film'
        """
        return " ".join(
            "…" if number == UNKNOWN else self.words[number - FIRST] for number in numbers if number
        )

    def to_text(self) -> str:
        """A word a line."""
        return "".join(f"{word}\n" for word in self.words)

    @classmethod
    def from_text(cls, text: str) -> "Vocabulary":
        """That of which ``to_text`` made this.

        >>> Vocabulary.from_text(Vocabulary(("c", "a")).to_text()).words
        ('c', 'a')
        """
        return cls(tuple(text.split("\n")[:-1]))

    @classmethod
    def of_texts(cls, texts: Iterable[str], size: int) -> "Vocabulary":
        """The most frequent words; of words as frequent, the first by alphabet.

        Args:
          texts: to train on.
          size: of the vocabulary, padding and the unknown word included.

        >>> Vocabulary.of_texts(["b a c", "c"], size=4).words
        ('c', 'a')
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split_into_words(text))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls(tuple(word for word, _ in ranked[: size - FIRST]))


def split_into_words(text: str) -> list[str]:
    """Lower-case words of a text, without HTML's line breaks.

    >>> split_into_words("It's <br /><br />GREAT, isn't it?")
    ["it's", 'great', "isn't", 'it']
    """
    return _WORD.findall(without_breaks(text).lower())


def without_breaks(text: str) -> str:
    """A text with blanks in place of HTML's line breaks.

    >>> without_breaks("Great!<br /><br />Go.")
    'Great!  Go.'
    """
    return _BREAK.sub(" ", text)
