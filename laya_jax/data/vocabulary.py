"""Words as numbers: 0 is padding, 1 any word that the vocabulary does not have, 2 the most frequent one."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PADDING, UNKNOWN, FIRST = 0, 1, 2
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words(text: str) -> list[str]:
    """Lower-case words of a text, without HTML's line breaks.

    >>> words("It's <br /><br />GREAT, isn't it?")
    ["it's", 'great', "isn't", 'it']
    """
    return _WORD.findall(_BREAK.sub(" ", text).lower())


def build_vocabulary(texts: Iterable[Sequence[str]], size: int) -> tuple[str, ...]:
    """The most frequent words, by id from 2 on; of words as frequent, the first by alphabet.

    Args:
      texts: words of each text to train on.
      size: of the vocabulary, padding and the unknown word included.

    >>> build_vocabulary([["b", "a", "c"], ["c"]], size=4)
    ('c', 'a')
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(word for word, _ in ranked[: size - FIRST])


def encode(
    texts: Iterable[Sequence[str]],
    vocabulary: Sequence[str],
    max_length: int,
    keep: Literal["start", "end"],
) -> NDArray[np.int32]:
    """Texts as ids, [N, max_length], filled up with padding on the right.

    >>> encode([["c", "x", "a"], ["a"]], ("c", "a"), max_length=2, keep="start")
    array([[2, 1],
           [3, 0]], dtype=int32)
    """
    ids = {word: number for number, word in enumerate(vocabulary, FIRST)}
    cut = slice(max_length) if keep == "start" else slice(-max_length, None)
    rows = [[ids.get(word, UNKNOWN) for word in text[cut]] for text in texts]
    encoded = np.full((len(rows), max_length), PADDING, np.int32)
    for row, numbers in zip(encoded, rows, strict=True):
        row[: len(numbers)] = numbers
    return encoded
