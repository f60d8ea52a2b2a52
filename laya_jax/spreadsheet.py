"""Tables as .csv files that a spreadsheet shows, and does not run."""

import csv
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import IO

TRIGGERS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters with which a formula begins, in their usual and in their full-width form."""


def write_rows(file: IO[str], header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a table; texts are quoted, and made ``harmless``, and numbers stay numbers.

    Args:
      file: File that is open for text, with newlines kept.
      header: Names of the columns.
      rows: Values of each row: texts, numbers and booleans.
    """
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    for row in chain([header], rows):
        writer.writerow([harmless(value) if isinstance(value, str) else value for value in row])


def harmless(text: str) -> str:
    """Puts an apostrophe before a text that a spreadsheet would take for a formula.

    To get the text back, remove one apostrophe from its beginning if it has one there: a text that begins
    with an apostrophe gets another one.

    >>> harmless("cat"), harmless("=1+1"), harmless("'tis")
    ('cat', "'=1+1", "''tis")
    """
    # A spreadsheet may pass over blanks and what cannot be seen.
    first = next((letter for letter in text if letter.isprintable() and not letter.isspace()), "")
    return f"'{text}" if first in TRIGGERS or text.startswith(("'", "\t", "\r", "\n")) else text
