"""Properties of all source files and texts."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("laya_jax", "experiments", "tests", "docs", ".ci", ".github")


def test_no_file_holds_marks_of_a_merge():
    paths = [*ROOT.glob("*.*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    texts = [path for path in paths if path.suffix in (".py", ".md", ".toml", ".yml", ".jinja", ".cff")]
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    assert len(texts) > 200
    assert not [path for path in texts if any(mark in path.read_text("utf-8") for mark in marks)]
