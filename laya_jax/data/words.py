"""Word segmentation by Unicode's rules, or by the pattern of earlier vocabularies."""

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from regex import Pattern

Segmentation = Literal["unicode", "letters"]
"""Word segmentation: Unicode's (UAX #29), or runs of letters and digits, which earlier versions used and
which imdb_reviews still uses, so that published results stay reproducible."""

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHES = "\u2019\u2018\u02bc\u00b4`"
_TYPOGRAPHY = str.maketrans({**dict.fromkeys(_APOSTROPHES, "'"), "_": " "})


def without_breaks(text: str) -> str:
    """Replaces HTML line breaks by spaces.

    >>> without_breaks("Great!<br /><br />Go.")
    'Great!  Go.'
    """
    return _BREAK.sub(" ", text)


def split_into_words(text: str, segmentation: Segmentation = "unicode") -> list[str]:
    """Splits a text into lowercase words, without HTML line breaks.

    In scripts without spaces between words (Chinese, Japanese, Thai), every character is a word, as is every
    emoji. Straight and typographic apostrophes are equivalent.

    >>> split_into_words("It's <br /><br />GREAT, isn't it? 很好👍")
    ["it's", 'great', "isn't", 'it', '很', '好', '👍']

    Args:
      text: Text of any length.
      segmentation: Word segmentation.
    """
    text = without_breaks(text)
    if segmentation == "letters":
        return _LETTERS.findall(text.lower())
    invisible, glue, word = _patterns()
    # Compatibility forms are equivalent: decomposed accents, ligatures, full-width letters.
    text = unicodedata.normalize("NFKC", text.translate(_TYPOGRAPHY)).lower()
    words: list[str] = word.findall(glue.sub(" ", invisible.sub("", text)))
    return words


@cache
def _patterns() -> tuple["Pattern", "Pattern", "Pattern"]:
    """Compiles the patterns of invisible characters, joining marks, and words."""
    # Imported here because images and arrays do not need regex.
    import regex

    return (
        regex.compile(r"(?V1)[\p{Cf}\p{Variation_Selector}--[\u200b-\u200d]]"),
        # "movie.I" is two words to readers, but one by UAX #29, like "U.S".
        regex.compile(r"(?<=[\p{L}\p{M}])[.:](?=\p{L})"),
        regex.compile(r"(?w)\b[\w\p{Extended_Pictographic}\p{Regional_Indicator}].*?\b"),
    )
