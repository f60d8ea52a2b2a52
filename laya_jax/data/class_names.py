"""Class names as written in labels."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

BLANKS = (
    "".join(map(chr, range(0x21)))
    + "\x7f\x85\xa0\xad\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
    + "".join(map(chr, range(0x2000, 0x2010)))
)
"""Characters stripped from the ends of a label: Unicode white space and invisible characters."""

MISSING = frozenset({"", "nan", "-nan", "<na>", "nat", "na", "n/a", "#n/a", "null"})
"""Missing-value markers of pandas, R, SQL and spreadsheets, in lower case."""

SHOWN = 5
"""Maximum number of names listed in a message."""

LONGEST = 40
"""Maximum number of characters of a name in a message."""

# Longer runs of digits do not count as numbers, since Python refuses to convert thousands of digits.
WHOLE = re.compile(r"([+-]?\d{1,300})(\.0{0,300})?")
"""Pattern of integers, whose first group excludes a decimal point and zeros."""

NUMBER = re.compile(r"[+-]?(\d{1,300}([.,]\d{0,300})?|[.,]\d{1,300})(e[+-]?\d{1,3})?|[+-]?inf", re.IGNORECASE)
"""Pattern of numbers with a decimal point or comma."""


def class_name(value: object) -> str | None:
    r"""Returns the class name of a single label, or None if the label is missing.

    >>> class_name(" pos\u00a0"), class_name(3.0), class_name(b"cat"), class_name(float("nan"))
    ('pos', '3', 'cat', None)

    Raises:
      ValueError: The value is a list or the like, or bytes that are not UTF-8.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{value[:LONGEST]!r}, which is not UTF-8") from None
    if isinstance(value, list | tuple | set | frozenset | Mapping | np.ndarray):
        raise ValueError(
            f"{quoted(str(value))}, expected one class: only single-label classification is supported, not "
            "multi-label"
        )
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = clean(str(value)) if value is not None else ""
    return None if text.lower() in MISSING else text


@lru_cache(maxsize=4096)
def clean(text: str) -> str:
    """Strips white space from a text and normalises it to Unicode form NFC."""
    return unicodedata.normalize("NFC", text).strip(BLANKS)


def natural(name: str) -> tuple[int, int, str]:
    """Sort key that puts integers by value before words in alphabetical order, so 10 comes after 9.

    >>> sorted(["b", "10", "1", "01", "a", "-2"], key=natural)
    ['-2', '01', '1', '10', 'a', 'b']
    """
    whole = WHOLE.fullmatch(name)
    return (0, int(whole[1]), name) if whole else (1, 0, name)


def quoted(name: str) -> str:
    """Quotes a name for messages, truncated if it is long.

    >>> quoted("cat"), len(quoted("cat" * 1000))
    ("'cat'", 43)
    """
    return repr(name) if len(name) <= LONGEST else repr(name[:LONGEST]) + "…"


def plain(name: str) -> str:
    r"""Formats a name for messages, quoted if it is long or contains unprintable characters.

    >>> plain("x_test"), plain("a\nb")
    ('x_test', "'a\\nb'")
    """
    return name if name.isprintable() and len(name) <= LONGEST else quoted(name)


def listed(names: Iterable[str], shown: int = SHOWN) -> str:
    """Lists the first names, and the number of the others.

    >>> listed("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    names = list(names)
    return ", ".join(names[:shown]) + (f" and {len(names) - shown:,} more" if names[shown:] else "")


def whole_number(text: str) -> str:
    """Strips the decimal point and zeros from an integer; returns any other text unchanged."""
    whole = WHOLE.fullmatch(text)
    return whole[1] if whole else text
