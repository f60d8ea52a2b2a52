"""What people see, whatever names they are shown."""

import json

import numpy as np
import pytest

from laya_jax.cli.console import Console
from laya_jax.data import Dataset, Examples, Preprocessing

HOSTILE = "a\x1b[2Jb\x07[red]:cat:\n\u202eend"


@pytest.fixture
def dataset():
    def dataset(*names, notes=()):
        labels = np.arange(2 * len(names)) % len(names)
        split = Examples(np.zeros((len(labels), 2)), labels.astype(np.int32))
        return Dataset(split, split, split, names, Preprocessing("features", (2,)), notes=notes)

    return dataset


def test_classes_and_notes_are_shown_once_for_several_runs_on_the_same_data(capfd, dataset):
    console, data = Console(as_json=False), dataset("cat", "dog", notes=("2 files are no images: x, y",))
    console.loaded(data)
    console.loaded(data)
    console.notes(data.notes)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "classes: cat 6, dog 6\nnote: 2 files are no images: x, y\n"


def test_names_cannot_change_the_terminal_or_the_order_of_letters(capfd, dataset):
    console = Console(as_json=False)
    console.loaded(dataset(HOSTILE, "dog"))
    console.tell(HOSTILE)
    console.table(["name"], [[HOSTILE]])
    for shown in capfd.readouterr():
        assert r"a\x1b[2Jb\x07[red]:cat:\n\u202eend" in shown
        assert not set("\x1b\x07\u202e") & set(shown)


def test_json_has_standard_output_for_itself_and_holds_the_notes(capfd, dataset):
    console = Console(as_json=True)
    console.loaded(dataset("cat", "dog", notes=("a note",)))
    console.tell("a result")
    console.table(["name"], [["a cell"]])
    console.print_json({"value": 1})
    out, err = capfd.readouterr()
    assert json.loads(out) == {"value": 1, "notes": ["a note"]}
    for shown in ("note: a note", "a result", "a cell"):
        assert shown in err


def test_many_classes_are_counted(capfd, dataset):
    Console(as_json=False).loaded(dataset(*(f"c{number}" for number in range(50))))
    err = capfd.readouterr().err
    assert "c19 6 and 30 more" in err
    assert "c20" not in err
