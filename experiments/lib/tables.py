"""Tables, and their output as text, Markdown, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path


class Table:
    """Table of text cells, with a title and column names.

    >>> table = Table("Heads", ("head", "accuracy"))
    >>> table.add("laya", "0.9 ± 0.1")
    >>> print(table.as_text())
    Heads
    head  accuracy
    laya  0.9 ± 0.1
    """

    def __init__(self, title: str, columns: Sequence[str]) -> None:
        self.title = title
        self.columns = tuple(columns)
        self.rows: list[tuple[str, ...]] = []

    def add(self, *row: str) -> None:
        """Adds a row.

        Raises:
          ValueError: The row does not have one value per column.
        """
        if len(row) != len(self.columns):
            raise ValueError(f"row has {len(row)} values, expected {len(self.columns)}")
        self.rows.append(row)

    def as_text(self) -> str:
        """Formats the table for a terminal."""
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        body = (
            "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)) for line in lines
        )
        return "\n".join([self.title, *(line.rstrip() for line in body)])

    def as_markdown(self) -> str:
        """Formats the table in Markdown."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])

    def as_csv(self) -> str:
        """Formats the table as CSV; the first row is the title."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([(self.title,), self.columns, *self.rows])
        return text.getvalue().rstrip("\n")

    def as_latex(self) -> str:
        """Formats the table in LaTeX, with booktabs, and scaled to the line width with graphicx."""
        body = "\n".join(f"  {_latex_row(row)}" for row in self.rows)
        return "\n".join(
            [
                r"\begin{table}",
                r"  \centering",
                rf"  \caption{{{_escape(self.title)}}}",
                r"  \resizebox{\linewidth}{!}{%",
                rf"  \begin{{tabular}}{{{'l' * len(self.columns)}}}",
                r"  \toprule",
                f"  {_latex_row(self.columns)}",
                r"  \midrule",
                body,
                r"  \bottomrule",
                r"  \end{tabular}}",
                r"\end{table}",
            ]
        )


def write_tables(tables: Sequence[Table], path: Path) -> None:
    """Writes tables to one file per format, at the path with the format's suffix added."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in as_files(tables).items():
        path.with_name(path.name + suffix).write_text(text, encoding="utf-8")


def as_files(tables: Sequence[Table]) -> dict[str, str]:
    """Formats tables in every file format, by suffix."""
    forms = {
        ".txt": Table.as_text,
        ".md": Table.as_markdown,
        ".csv": Table.as_csv,
        ".tex": Table.as_latex,
    }
    return {suffix: "\n\n".join(form(table) for table in tables) + "\n" for suffix, form in forms.items()}


def _latex_row(values: Sequence[str]) -> str:
    return " & ".join(map(_escape, values)) + r" \\"


def _escape(text: str) -> str:
    for character in "&%_#":
        text = text.replace(character, rf"\{character}")
    minus = re.sub(r"(?<![\w.*])-(?=\d)", "$-$", text)
    return minus.replace("±", r"$\pm$")
