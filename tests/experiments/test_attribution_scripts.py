"""The scripts that measure attention, on the digits, in processes of their own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments import faithfulness
from laya_jax.data import Examples


def run(module, folder, *arguments):
    command = [sys.executable, "-m", f"experiments.{module}", "--datasets", "digits"]
    places = ["--results", folder / "results", "--runs", folder / "runs", "--processes", "2"]
    return subprocess.run([*command, *places, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with what was measured of two runs of two epochs."""
    folder = tmp_path_factory.mktemp("faithfulness")
    done = run("faithfulness", folder, "--seeds", "2", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_faithfulness_is_measured_of_every_seed(measured):
    folder, printed = measured
    found = json.loads((folder / "results/faithfulness/digits.json").read_text())
    assert [run["seed"] for run in found["runs"]] == [0, 1]
    assert found["stability"]["runs"] == 2
    assert found["same_runs"] == [True, True]
    assert ["labels" in run["faithfulness"]["randomization"] for run in found["runs"]] == [True, False]
    record = json.loads((folder / "results/faithfulness/digits-random-labels.json").read_text())
    assert found["random_labels"] == record["curve"][-1]["train"]
    assert "seeds: same top layer" in printed
    changes = [run["faithfulness"]["flips_without_top_layer"] for run in found["runs"]]
    assert f"{np.mean(changes):.3f} ({min(changes):.3f} to {max(changes):.3f})" in printed


@pytest.mark.slow
def test_what_was_not_measured_to_the_end_is_measured_again(measured):
    folder, _ = measured
    path = folder / "results/faithfulness/digits.json"
    whole = path.read_text()
    part = json.loads(whole)
    del part["random_labels"]
    path.write_text(json.dumps(part))
    done = run("faithfulness", folder, "--seeds", "2", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert json.loads(path.read_text()) == json.loads(whole)


@pytest.mark.slow
def test_the_table_is_made_again_from_the_results_alone(measured, tmp_path):
    folder, printed = measured
    done = run("faithfulness", folder, "--seeds", "0", "--epochs", "2", "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == printed[printed.index("LAYA's runs: mean") :].strip()


@pytest.mark.slow
def test_runs_that_are_gone_are_trained_again_to_the_same_numbers(measured):
    folder, _ = measured
    path = folder / "results/faithfulness/digits.json"
    before = json.loads(path.read_text())
    record = (folder / "results/table1/digits/laya-seed1.json").read_bytes()
    path.unlink()
    for file in sorted((folder / "runs").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    done = run("faithfulness", folder, "--seeds", "2", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert json.loads(path.read_text()) == before
    assert (folder / "results/table1/digits/laya-seed1.json").read_bytes() == record


@pytest.mark.slow
def test_what_was_measured_of_another_config_is_refused(measured):
    folder, _ = measured
    done = run("faithfulness", folder, "--seeds", "2", "--epochs", "3")
    assert done.returncode == 2
    assert "faithfulness/digits.json is of another config: epochs: 2 -> 3" in done.stderr


@pytest.mark.slow
def test_wrong_labels_are_looked_for(tmp_path):
    done = run("label_noise", tmp_path, "--seeds", "2", "--epochs", "4")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results/label_noise/digits.json").read_text())
    assert 0.07 < found["wrong"] / found["examples"] < 0.11
    assert all(run["scores"]["self_confidence"]["auroc"] > 0.8 for run in found["runs"])
    assert "self confidence" in done.stdout


def test_words_are_shuffled_in_their_place():
    tokens = np.array([[5, 6, 7, 0, 0], [0, 0, 8, 9, 4]])
    shuffled = faithfulness.shuffled_words(tokens, seed=1)
    np.testing.assert_array_equal(shuffled == 0, tokens == 0)
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), np.sort(tokens, axis=1))
    many = np.arange(1, 101)[None]
    assert (faithfulness.shuffled_words(many, seed=1) != many).any()


def test_outliers_have_the_form_of_the_examples():
    assert faithfulness.outliers_of("digits", Examples(np.zeros((2, 8, 8, 1)), np.zeros(2))) is None
    texts = Examples(np.array([[3, 4, 0]]), np.array([1]))
    assert faithfulness.outliers_of("imdb", texts).inputs.shape == (1, 3)
