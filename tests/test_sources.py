"""Properties of all source files and texts."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_file_holds_marks_of_a_merge():
    paths = [path for kind in ("*.py", "*.md", "*.toml", "*.jinja") for path in ROOT.rglob(kind)]
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    assert not [path for path in paths if any(mark in path.read_text("utf-8") for mark in marks)]
