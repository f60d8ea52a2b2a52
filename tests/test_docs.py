"""Runs every code block of the README and of the documentation, in order, as a reader would paste it."""

import re
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from small_models import write_bert, write_vit

from laya_jax.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"```(python|sh)\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)

SMALLER = {
    "train": ["--epochs", "2", "--devices", "1"],
    "images:": ["--data.image-size", "12", "--batch-size", "8"],
    "texts:": ["--data.max-length", "6", "--batch-size", "8"],
}
"""Options that are added to documented commands that contain a word: the models here are small."""


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Puts a reader into a folder with data and models of the names that the documentation uses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for number in range(40):
        path = Path("photos") / ("beach", "forest")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 120, (12, 12, 3)).astype(np.uint8)
        pixels[..., number % 2] += 100
        Image.fromarray(pixels).save(path)
    rows = [f"a {word} film,{label}" for word, label in (("good", "pos"), ("bad", "neg")) for _ in range(20)]
    Path("reviews.csv").write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    inputs, labels = generator.normal(size=(40, 4)).astype(np.float32), np.arange(40) % 2
    np.savez("arrays.npz", inputs=inputs + 3 * labels[:, None], labels=labels)
    Path("models").mkdir()
    write_vit(Path("models/vit-s14"))
    write_bert(Path("models/minilm"))
    return {
        "images": jax.random.normal(jax.random.key(0), (2, 12, 12, 3)),
        "attention_of_seed_0": generator.dirichlet(np.ones(3), 50),
        "attention_of_seed_1": generator.dirichlet(np.ones(3), 50),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if BLOCK.search(page.read_text("utf-8"))], ids=lambda p: p.stem
)
def test_every_block_of_a_page_runs_and_prints_what_it_says(page, reader, capsys):
    names = dict(reader)
    for language, code, printed in BLOCK.findall(page.read_text("utf-8")):
        capsys.readouterr()
        if language == "python":
            exec(compile(code, page.name, "exec"), names)
            if printed:
                assert capsys.readouterr().out == printed
        else:
            for line in code.splitlines():
                run_line(line)


def run_line(line):
    """Runs a line of a shell if it is a command of ours; continuous integration runs those that install."""
    words = shlex.split(line, comments=True)
    if words[:1] != ["laya"]:
        return
    more = [option for word, options in SMALLER.items() if word in line for option in options]
    if words[1] != "train":
        more = []
    assert main([*words[1:], *more]) == 0, line


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_readme_is_short_and_shows_the_figure_first():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.split()) <= 700
    assert text.index("![") < text.index("```")
