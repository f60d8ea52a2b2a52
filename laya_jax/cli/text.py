"""Formatting of untrusted text for a terminal."""

import re

LONGEST = 2000
"""Maximum number of characters of an error message."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Escapes characters that would control a terminal or change the direction of text.

    >>> print(printable("a cat\x1b[2J"))
    a cat\x1b[2J
    """
    return _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)


def one_line(error: BaseException) -> str:
    r"""Formats an error's message as one line, with the file if there is one.

    >>> one_line(ValueError("seed is -1,\n  expected at least 0"))
    'seed is -1, expected at least 0'
    """
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    line = printable(" ".join(text.split())) or type(error).__name__
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
