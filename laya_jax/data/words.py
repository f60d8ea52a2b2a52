"""Words of a text, by Unicode's rules; and by the pattern that earlier vocabularies were made with."""

import re
import unicodedata
from functools import cache
from typing import Any, Literal

Segmentation = Literal["unicode", "letters"]
"""Rules that split texts into words: Unicode's (UAX #29), or runs of letters and digits, which were the only
ones before and remain those of imdb_reviews, on which published results were measured."""

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHES = "\u2019\u2018\u02bc\u00b4`"
_TYPOGRAPHY = str.maketrans({**dict.fromkeys(_APOSTROPHES, "'"), "_": " "})


def without_breaks(text: str) -> str:
    """Replaces HTML's line breaks by blanks.

    >>> without_breaks("Great!<br /><br />Go.")
    'Great!  Go.'
    """
    return _BREAK.sub(" ", text)


def split_into_words(text: str, segmentation: Segmentation = "unicode") -> list[str]:
    """Splits a text into its words in lower case, without HTML's line breaks.

    Of scripts without blanks between words (Chinese, Japanese, Thai), a character is a word; an emoji is one.
    Straight and typographic apostrophes are the same.

    >>> split_into_words("It's <br /><br />GREAT, isn't it? 很好👍")
    ["it's", 'great', "isn't", 'it', '很', '好', '👍']

    Args:
      text: Text of any length.
      segmentation: Rules that split it.
    """
    text = without_breaks(text)
    if segmentation == "letters":
        return _LETTERS.findall(text.lower())
    invisible, glue, word = _patterns()
    # Compatibility forms are the same words: decomposed accents, ligatures, full-width letters.
    text = unicodedata.normalize("NFKC", text.translate(_TYPOGRAPHY)).lower()
    words: list[str] = word.findall(glue.sub(" ", invisible.sub("", text)))
    return words


@cache
def _patterns() -> tuple[Any, Any, Any]:
    """Characters without a shape, marks that join what is written without a blank, and words."""
    # Images and arrays need no regex.
    import regex

    return (
        regex.compile(r"(?V1)[\p{Cf}\p{Variation_Selector}--[\u200b-\u200d]]"),
        # "movie.I" is two words to people; by UAX #29 it is one, as "U.S" is.
        regex.compile(r"(?<=[\p{L}\p{M}])[.:](?=\p{L})"),
        regex.compile(r"(?w)\b[\w\p{Extended_Pictographic}\p{Regional_Indicator}].*?\b"),
    )
