"""Files of predictions."""

import csv
import json

import numpy as np
import pytest

from laya_jax.cli.predictions import write_predictions
from laya_jax.data import Unlabelled
from laya_jax.training.steps import Outputs

NAMES = ("cat", "dog")


@pytest.fixture
def outputs():
    return Outputs(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), None, None)


@pytest.mark.parametrize("labels", [None, np.array([0, 0, 1])])
def test_what_is_predicted_and_what_is_true_are_called_so(tmp_path, outputs, labels):
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
