"""The layout of the experiments: commands on top, which import the library beneath, and never the reverse."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import experiments

FOLDER = Path(experiments.__file__).parent
ROOT = FOLDER.parent
COMMANDS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
RUN = re.compile(r"python -m (experiments(?:\.[a-z0-9_]+)+)")
TEXTS = ("*.md", "docs/**/*.md", "experiments/**/*.md", "experiments/**/*.py", ".ci/*")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "experiments":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("experiments."):
            yield node.module.split(".")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_module_on_top_is_a_command_that_the_readme_lists(command):
    assert 'if __name__ == "__main__":' in (FOLDER / f"{command}.py").read_text("utf-8")
    assert f"| `{command}` |" in (FOLDER / "README.md").read_text("utf-8")


@pytest.mark.parametrize("folder", ["lib", "configs", "benchmarks"])
def test_nothing_beneath_imports_a_command(folder):
    imports = {path.name: {*imported(path)} for path in (FOLDER / folder).glob("*.py")}
    assert not {name: found & {*COMMANDS} for name, found in imports.items() if found & {*COMMANDS}}


def test_every_command_that_a_text_names_can_be_run():
    texts = {path.read_text("utf-8") for pattern in TEXTS for path in ROOT.glob(pattern) if path.is_file()}
    modules = {name for text in texts for name in RUN.findall(text)}
    assert {f"experiments.{command}" for command in COMMANDS} <= modules
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []
