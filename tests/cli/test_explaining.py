"""``laya attribute`` and ``laya report``."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from small_runs import QUICK

from laya_jax.cli import main


@pytest.mark.slow
def test_attribution_and_report_of_several_runs(laya, run, tmp_path):
    second = tmp_path / "second"
    assert main(["train", "digits", "--run-dir", str(second), "--seed", "1", *QUICK]) == 0
    status, out, err = laya("attribute", run, second, "--out", "numbers", "--devices", 1, "--json")
    assert status == 0
    printed, written = json.loads(out), json.loads((tmp_path / "numbers" / "attribution.json").read_text())
    assert printed == {"out": "numbers", **written, "notes": []}
    assert [each["run"] for each in written["runs"]] == [str(run), str(second)]
    assert written["stability"]["runs"] == 2
    assert "Another seed reads" in err
    names = {path.name for path in (tmp_path / "numbers").iterdir()}
    assert {"samples-1.npz", "samples-2.csv", "profile.png", "stability.pdf"} <= names
    with np.load(tmp_path / "numbers" / "samples-1.npz") as file:
        rows, labels = file["ids"].astype(int), file["labels"]
    np.testing.assert_array_equal(load_digits().target[rows], labels)
    status, _, err = laya("report", run, "--random-labels", second)
    assert status == 2
    assert "second, with seed 1, expected a seed of the runs, 0: attention" in err
    assert laya("export", second, "--out", "model")[0] == 0
    status, _, err = laya("report", run, "--random-labels", "model")
    assert status == 2
    assert "random_labels is model, an exported model, expected a run" in err
    status, out, err = laya("report", run, "--outliers", "digits", "--out", "r.html", "--devices", 1)
    assert status == 0
    assert "Whether another seed would read the same layers was not measured" in out
    assert err.startswith("explaining ")
    assert "Detecting out-of-distribution inputs" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "nowhere"], "no run in nowhere: it has no config.json"),
        (["report", "RUN", "--out", "report.pdf"], "suffix of out is '.pdf', expected one of '.html'"),
        (["report", "RUN", "--out", "no/report.html"], "out is no/report.html, but there is no folder no"),
        (["attribute", "RUN", "--out", "RUN"], "which already exists"),
        (
            ["report", "RUN", "--outliers", "fashion"],
            "data.source is 'fashion' (did you mean 'fashion_mnist'?)",
        ),
        (["report", "RUN", "--random-labels", "nowhere"], "no run in nowhere"),
        (["report", "RUN", "--largest-gallery", "0"], "largest_gallery is 0, expected at least 1"),
        (["attribute"], "runs is empty, expected the path of at least one run"),
    ],
)
def test_what_cannot_be_explained_is_a_one_line_error(laya, run, arguments, message):
    status, out, err = laya(*[str(run) if word == "RUN" else word for word in arguments])
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.slow
def test_runs_on_other_data_are_not_compared(laya, run, tmp_path):
    np.savez(tmp_path / "d.npz", inputs=np.random.default_rng(0).random((80, 5)), labels=np.arange(80) % 2)
    assert laya("train", "npz:d.npz", "--run-dir", "other", *QUICK)[0] == 0
    status, _, err = laya("report", run, "other")
    assert status == 2
    assert "run is other, whose data differ from those of" in err
    status, _, err = laya("report", run, "--random-labels", "other")
    assert status == 2
    assert "expected a run of a head that weighs the layers of the same backbone, mlp, on inputs" in err
