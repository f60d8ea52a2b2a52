"""The scripts of the paper's tables and figures on the digits, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments import figures, readme, table2
from experiments.configs import HEADS, MODULES, PAPER, config_of
from experiments.lib import grids
from experiments.lib.drawings import belief, figure_1
from experiments.lib.head_accuracies import jobs_of
from experiments.lib.paper import TABLE_2
from experiments.lib.records import finished
from experiments.lib.tables import as_files
from laya_jax.training import HeadConfig


def command(module, folder, *arguments):
    return [
        sys.executable,
        "-m",
        f"experiments.{module}",
        "--datasets",
        "digits",
        "--results",
        folder / "results",
        *arguments,
    ]


def run(module, folder, *arguments):
    places = () if module == "figures" else ("--runs", folder / "runs", "--processes", "2")
    return subprocess.run(
        command(module, folder, *places, *arguments), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the records of table 1: two heads, two seeds, two epochs."""
    folder = tmp_path_factory.mktemp("paper")
    done = run("table1", folder, "--heads", "laya", "last_layer", "--seeds", "2", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_table_1_trains_what_is_missing_and_tells_how_far_it_is(made):
    folder, printed = made
    records = sorted((folder / "results/table1/digits").glob("*.json"))
    assert [path.stem for path in records] == [
        "last_layer-seed0",
        "last_layer-seed1",
        "laya-seed0",
        "laya-seed1",
    ]
    assert "4 of 4" in printed
    assert "LAYA minus" in printed
    record = json.loads(records[2].read_text())
    assert len(record["curve"]) == 2
    assert record["environment"]["packages"]["jax"]
    assert np.sum(record["attention"]["mean"]) == pytest.approx(1)
    groups = [record["attention"][group]["examples"] for group in ("all", "correct", "wrong")]
    assert np.array_equal(groups[0], np.add(groups[1], groups[2]))
    assert sum(groups[1]) / sum(groups[0]) == pytest.approx(record["test"]["accuracy"])
    assert {path.suffix for path in (folder / "results").glob("table1.*")} == {".txt", ".md", ".csv", ".tex"}


@pytest.mark.slow
def test_nothing_is_trained_twice(made):
    folder, printed = made
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = run("table1", folder, "--heads", "laya", "last_layer", "--seeds", "2", "--epochs", "2")
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip() == printed[printed.index("Test split") :].strip()
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_record_of_another_config_is_refused(made):
    folder, _ = made
    before = {path for path in folder.rglob("*") if path.is_file()}
    done = run("table1", folder, "--heads", "concat", "laya", "--seeds", "3", "--epochs", "3")
    assert done.returncode == 2
    assert "is of another config: epochs: 2 -> 3" in done.stderr
    assert before == {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_figures_are_drawn_from_the_records_alone(made):
    folder, _ = made
    done = run("figures", folder, "--epochs", "2")
    assert done.returncode == 0, done.stderr
    drawn = {path.name for path in (folder / "results/figures").iterdir()}
    assert drawn == {
        f"{name}.{suffix}"
        for name in ("figure1", "figure2-digits", "figure2-digits-seeds")
        for suffix in ("png", "pdf")
    }


@pytest.fixture
def committed():
    """The committed records of LAYA that figures are drawn from, by data set."""
    return {dataset: finished(jobs_of([dataset], ["laya"], 2, None), readme.RESULTS) for dataset in PAPER}


def test_figures_name_each_class_of_the_committed_records(committed):
    for dataset, names in figures.CLASS_NAMES.items():
        assert len(names) == len(committed[dataset][0]["class_names"])


def test_each_panel_of_figure_1_says_its_faithfulness_and_covers_no_other(committed):
    figure = figure_1(committed)
    figure.draw_without_rendering()
    labels = [panel.xaxis.label for panel in figure.axes]
    said = [belief(records, "\n") for records in committed.values()]
    assert [label.get_text() for label in labels] == said
    boxes = [label.get_window_extent() for label in labels]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    plt.close(figure)


def test_whiskers_of_figure_1_end_at_0_and_1(committed):
    figure = figure_1(committed)
    ends = np.concatenate([np.ravel(panel.collections[0].get_segments())[1::2] for panel in figure.axes])
    assert (ends.min(), ends.max()) == pytest.approx((0, 1))
    plt.close(figure)


@pytest.mark.slow
def test_figures_are_the_same_bytes_each_time(committed, tmp_path):
    records = {"imdb": committed["imdb"]}
    first, second = (figures.draw(records, tmp_path / name) for name in "ab")
    for one, other in zip(first, second, strict=True):
        for suffix in (".png", ".pdf"):
            assert one.with_suffix(suffix).read_bytes() == other.with_suffix(suffix).read_bytes()


@pytest.mark.slow
def test_what_was_cut_off_goes_on(tmp_path):
    arguments = ("--heads", "laya", "--seeds", "2", "--epochs", "400", "--runs", tmp_path / "runs")
    process = subprocess.Popen(
        [*command("table1", tmp_path, *arguments), "--processes", "2"], stderr=subprocess.PIPE, text=True
    )
    logs = [tmp_path / f"runs/table1/digits/laya-seed{seed}/metrics.jsonl" for seed in range(2)]
    while not any(log.exists() for log in logs):
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "the same command goes on" in said
    lines = [len(log.read_text().splitlines()) if log.exists() else 0 for log in logs]
    assert len(list((tmp_path / "results").rglob("*-seed*.json"))) < 2
    done = subprocess.run(
        command("table1", tmp_path, *arguments), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for log, before in zip(logs, lines, strict=True):
        epochs = [json.loads(line)["epoch"] for line in log.read_text().splitlines()]
        assert epochs == list(range(1, len(epochs) + 1))
        assert len(epochs) >= before


@pytest.mark.slow
def test_table_2_searches_the_grid(tmp_path):
    done = run("table2", tmp_path, "--heads", "concat", "--seeds", "3", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "2 of 2" in done.stdout
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/table2/digits").glob("*.json")]
    assert len(records) == 6
    settings = grids.by_setting(records, "digits", "concat")
    best = max(settings, key=lambda setting: grids.accuracy(settings[setting], "validation"))
    assert table2.best_table(records, ["digits"]).rows[0][4] == f"d* {best.dim}"


def test_the_best_setting_of_the_grid_is_that_of_validation():
    records = [
        {
            "dataset": "digits",
            "head": "concat",
            "seed": seed,
            "config": {"head": {"kind": "concat", "dim": dim}},
            "validation": {"accuracy": validation},
            "test": {"accuracy": 1 - validation},
        }
        for seed in range(3)
        for dim, validation in ((16, 0.9), (32, 0.5))
    ]
    (row,) = table2.best_table(records, ["digits"]).rows
    assert row[4:6] == ("d* 16", "0.9000 ± 0.0000")


@pytest.mark.slow
def test_sensitivity_is_drawn(made, tmp_path):
    folder, _ = made
    records = [json.loads(path.read_text()) for path in folder.rglob("laya-seed*.json")]
    table2.draw_sensitivity(grids.by_setting(records, "digits", "laya"), "digits", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"sensitivity-digits.png", "sensitivity-digits.pdf"}


@pytest.mark.parametrize("dataset", PAPER)
def test_the_grids_are_the_paper_s(dataset):
    settings = grids.grid(dataset, "laya")
    assert len(set(settings)) == len(settings) == (24 if dataset == "imdb" else 36)
    assert HeadConfig(**TABLE_2[dataset]) in settings


@pytest.mark.parametrize("dataset", MODULES)
@pytest.mark.parametrize("head", HEADS)
def test_every_config_says_its_command(dataset, head):
    assert config_of(dataset, head).head.kind == head
    command = f"python -m experiments.table1 --datasets {dataset} --heads {head}"
    assert command in getattr(MODULES[dataset], head).__doc__


def test_laya_has_the_paper_s_best_setting():
    for dataset, setting in TABLE_2.items():
        head = config_of(dataset, "laya").head
        assert {name: getattr(head, name) for name in setting} == setting


@pytest.mark.slow
def test_the_readmes_are_those_of_the_committed_records():
    assert readme.README.read_text(encoding="utf-8") == readme.make(readme.RESULTS)
    for page, table in readme.PAGES.items():
        text = (readme.DOCS / page).read_text(encoding="utf-8")
        assert readme.with_glance(text, table(readme.RESULTS), page) == text


@pytest.mark.parametrize("name", readme.TABLES)
def test_the_committed_tables_are_those_of_the_committed_records(name):
    made = as_files(readme.TABLES[name](readme.RESULTS))
    written = {path.suffix: path.read_text("utf-8") for path in readme.RESULTS.glob(f"{name}.*")}
    assert written == made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("table1", "--datasets", "mnist"), "invalid choice: 'mnist'"),
        (("table1", "--heads", "laja"), "invalid choice: 'laja'"),
        (("table1", "--processes", "0"), "processes is 0, expected at least 1"),
        (("table2", "--seeds", "-1"), "seeds is -1"),
        (("figures", "--results", "no-such-folder"), "no records in no-such-folder"),
    ],
)
def test_wrong_input_is_told_in_a_line(arguments, said, tmp_path):
    module, *options = arguments
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{module}", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
