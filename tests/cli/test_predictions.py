"""Files of predictions."""

import csv
import json

import numpy as np
import pytest

from laya_jax.cli.predictions import write_predictions
from laya_jax.data import Unlabelled
from laya_jax.engine.steps import Outputs

NAMES = ("cat", "dog")


@pytest.fixture
def outputs():
    return Outputs(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), None, None)


@pytest.mark.parametrize("labels", [None, np.array([0, 0, 1])])
def test_predicted_and_true_classes_are_labelled_as_such(tmp_path, outputs, labels):
    given = Unlabelled(np.zeros((3, 2)), ("a", "b", "c"), labels)
    for form in ("csv", "jsonl", "npz"):
        write_predictions(tmp_path / f"p.{form}", given, outputs, NAMES)
    with np.load(tmp_path / "p.npz") as file:
        arrays = dict(file)
    assert arrays["predicted"].tolist() == [0, 1, 0]
    assert ("labels" in arrays) == (labels is not None)
    of_csv = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    of_jsonl = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    for rows in (of_csv, of_jsonl):
        assert [row["predicted"] for row in rows] == ["cat", "dog", "cat"]
        truth = None if labels is None else [NAMES[label] for label in labels]
        assert ([row["label"] for row in rows] if "label" in rows[0] else None) == truth
        assert "class" not in rows[0]
    if labels is not None:
        assert arrays["labels"].tolist() == labels.tolist()


FORMULA, FOREIGN = "=cmd|' /C calc'!A0", "caf\udce9.png"
"""A class that a spreadsheet would run, and the name of a file that is not UTF-8."""


def test_names_are_harmless_in_csv_and_exact_elsewhere(tmp_path, outputs):
    given = Unlabelled(np.zeros((3, 2)), ("'quoted'", FOREIGN, "-1"), np.array([0, 0, 1]))
    for form in ("csv", "jsonl", "npz"):
        write_predictions(tmp_path / f"p.{form}", given, outputs, (FORMULA, "dog"))
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text("utf-8").splitlines()))
    assert [row["id"] for row in rows] == ["''quoted'", "caf\\udce9.png", "'-1"]
    assert [row["predicted"] for row in rows] == [f"'{FORMULA}", "dog", f"'{FORMULA}"]
    assert float(rows[0][f"probability of {FORMULA}"]) == pytest.approx(0.88, abs=0.01)
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == list(given.ids)
    assert [row["label"] for row in rows] == [FORMULA, FORMULA, "dog"]
    with np.load(tmp_path / "p.npz") as file:
        assert file["ids"].tolist() == list(given.ids)
        assert file["class_names"].tolist() == [FORMULA, "dog"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "npz"])
def test_a_file_that_appeared_meanwhile_is_not_replaced(tmp_path, outputs, form):
    path = tmp_path / f"p.{form}"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="already exists"):
        write_predictions(path, Unlabelled(np.zeros((3, 2)), ("a", "b", "c"), None), outputs, NAMES)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("mine", [path])


def test_a_failure_leaves_no_file(tmp_path, outputs):
    given = Unlabelled(np.zeros((3, 2)), ("a", "b"), None)  # a name too few
    with pytest.raises(ValueError, match="zip"):
        write_predictions(tmp_path / "p.csv", given, outputs, NAMES)
    assert list(tmp_path.iterdir()) == []
