"""Runs every cell of the notebooks as a reader would, and checks the outputs that are stored in them."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "examples"
NOTEBOOKS = pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)

QUICK = "EPOCHS, SEEDS = 2, 2"
"""Runs after the parameters of a notebook that has any."""


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def read(path):
    return nbformat.read(path, as_version=4)


def shortened(notebook):
    places = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ())]
    for place in places:
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(QUICK))
    return notebook


@NOTEBOOKS
def test_a_notebook_runs_in_a_plain_clone_without_warnings(path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    notebook = shortened(read(path))
    place = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=300, resources=place).execute()
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", ()) for output in outputs) >= 2


@NOTEBOOKS
def test_the_stored_outputs_are_of_one_whole_run_and_name_no_machine(path):
    cells = code_cells(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    printed = "".join(output.get("text", "") for output in outputs)
    assert printed
    assert not [place for place in ("/tmp", "/home", "/root", "/Users") if place in printed]
    assert path.stat().st_size < 400_000


def test_the_list_of_notebooks_is_complete():
    text = (FOLDER / "README.md").read_text("utf-8")
    assert {path.name for path in FOLDER.glob("*.ipynb")} == {
        word.split("]")[0] for word in text.split("[")[1:] if "](" in word
    }
