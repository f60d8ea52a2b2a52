"""Names of classes, as their owners write them in labels."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

BLANKS = (
    "".join(map(chr, range(0x21)))
    + "\x7f\x85\xa0\xad\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
    + "".join(map(chr, range(0x2000, 0x2010)))
)
"""Characters that go at the ends of a label: what Unicode calls white space, and what has no shape."""

MISSING = frozenset({"", "nan", "-nan", "<na>", "nat", "na", "n/a", "#n/a", "null"})
"""Labels, in lower case, that pandas, R, SQL and spreadsheets write where there is none."""

SHOWN = 5
"""Names that a sentence lists before it says how many more there are."""

LONGEST = 40
"""Characters of a name in a sentence."""

# Longer runs of digits are no numbers: Python refuses to convert thousands of them.
WHOLE = re.compile(r"([+-]?\d{1,300})(\.0{0,300})?")
"""Texts that are whole numbers, whose first group is all but a decimal point and zeros."""

NUMBER = re.compile(r"[+-]?(\d{1,300}([.,]\d{0,300})?|[.,]\d{1,300})(e[+-]?\d{1,3})?|[+-]?inf", re.IGNORECASE)
"""Texts that are numbers, with a decimal point or comma."""


def class_name(value: Any) -> str | None:
    r"""Name of the class that a label means by itself, or None if the label is missing.

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
    """Text without blanks at its ends, its accents composed (Unicode's form NFC)."""
    return unicodedata.normalize("NFC", text).strip(BLANKS)


def natural(name: str) -> tuple[int, int, str]:
    """Key that sorts whole numbers by value before words by alphabet, so 10 comes after 9.

    >>> sorted(["b", "10", "1", "01", "a", "-2"], key=natural)
    ['-2', '01', '1', '10', 'a', 'b']
    """
    whole = WHOLE.fullmatch(name)
    return (0, int(whole[1]), name) if whole else (1, 0, name)


def quoted(name: str) -> str:
    """A name between quotes, for messages, cut off if it is long.

    >>> quoted("cat"), len(quoted("cat" * 1000))
    ("'cat'", 43)
    """
    return repr(name) if len(name) <= LONGEST else repr(name[:LONGEST]) + "…"


def plain(name: str) -> str:
    r"""A name as it is, for messages; quoted if it is long or holds what cannot be printed.

    >>> plain("x_test"), plain("a\nb")
    ('x_test', "'a\\nb'")
    """
    return name if name.isprintable() and len(name) <= LONGEST else quoted(name)


def listed(names: Iterable[str], shown: int = SHOWN) -> str:
    """The first names, and how many more there are.

    >>> listed("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    names = list(names)
    return ", ".join(names[:shown]) + (f" and {len(names) - shown:,} more" if names[shown:] else "")


def whole_number(text: str) -> str:
    """A whole number without its decimal point; any other text as it is."""
    whole = WHOLE.fullmatch(text)
    return whole[1] if whole else text
