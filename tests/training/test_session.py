import dataclasses
import json
import os
import re
import shutil
import signal
import threading

import jax
import numpy as np
import pytest

from laya_jax.data import DataConfig, load
from laya_jax.engine.state import checksum
from laya_jax.training import (
    OptimizerConfig,
    ParallelConfig,
    find_runs,
    load_model,
    loop,
    resume,
    session,
    start,
)
from laya_jax.training.checkpoint import Checkpoints
from laya_jax.training.loop import Interrupted, Listener
from laya_jax.training.recorder import NonFiniteLossError, Recorder
from laya_jax.training.run_directory import RunDirectory

ONE_DEVICE = ParallelConfig(devices=1)
MISSING = "has no manifest.json, so its files are not checked"
TIMES = ("seconds", "examples_per_second", "run")


def same(run):
    """All of a run that must not depend on when it was interrupted."""

    def without_times(values):
        return {name: value for name, value in values.items() if name not in TIMES}

    lines = [without_times(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]
    result = without_times(json.loads((run / "result.json").read_text()))
    return lines, result, checksum(load_model(run).parameters)


class Interrupter(Listener):
    """Sends this process a signal after some chunk, as a cluster does that wants its machine back."""

    def __init__(self, chunk, number=signal.SIGTERM):
        self.chunk, self.number, self.chunks = chunk, number, 0

    def steps(self, done, total):
        self.chunks += 1
        if self.chunks == self.chunk:
            os.kill(os.getpid(), self.number)


def test_a_finished_run_holds_everything(finished_run, small_config):
    names = {path.name for path in finished_run.iterdir()}
    assert names == {
        *("config.json", "environment.json", "data.json", "metrics.jsonl", "result.json"),
        *("checkpoints", ".lock", "manifest.json"),
    }
    lines = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[2]["train"]["loss"] < lines[0]["train"]["loss"]
    result = json.loads((finished_run / "result.json").read_text())
    assert result["test"]["examples"] == len(load(small_config.data).test.labels)
    assert result["validation"] == lines[result["best_epoch"] - 1]["validation"]
    assert result["faithfulness"]["flips_without_top_layer"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("chunk", [1, 4, 5])
def test_interrupted_anywhere_a_run_ends_in_the_same_bits(
    small_config, finished_run, silent, tmp_path, monkeypatch, chunk, number
):
    # 21 steps an epoch, so chunks of 5 interrupt within an epoch, and the fifth at its end.
    monkeypatch.setattr("laya_jax.engine.feed.CHUNK", 5)
    run = tmp_path / "run"
    with pytest.raises(
        Interrupted, match=f"interrupted by {number.name} and saved; to continue: laya resume {run}$"
    ) as stop:
        start([small_config], [run], ONE_DEVICE, Interrupter(chunk, number))
    assert stop.value.signal_number == number
    saved = Checkpoints(run / "checkpoints", read_only=True).steps()
    assert saved == [min(5 * chunk, 23)]
    monkeypatch.undo()
    monkeypatch.setattr("laya_jax.engine.feed.CHUNK", 5)
    resume(RunDirectory.open(run), ONE_DEVICE, silent)
    reference = tmp_path / "reference"
    start([small_config], [reference], ONE_DEVICE, silent)
    assert same(run) == same(reference)


@pytest.mark.slow
def test_a_long_epoch_is_saved_in_between(small_config, silent, tmp_path, monkeypatch):
    monkeypatch.setattr("laya_jax.engine.feed.CHUNK", 5)
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    with pytest.raises(Interrupted):
        start([small_config], [tmp_path / "run"], ONE_DEVICE, Interrupter(3))
    assert Checkpoints(tmp_path / "run" / "checkpoints", read_only=True).steps() == [15, 10]


def test_a_finished_run_is_not_trained_again(finished_run, silent):
    result = resume(RunDirectory.open(finished_run), ONE_DEVICE, silent)
    assert silent.lines == []
    assert result == json.loads((finished_run / "result.json").read_text())


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_checkpoint(small_config, silent, tmp_path):
    config = dataclasses.replace(small_config, optimizer=OptimizerConfig(learning_rate=1e30))
    message = r"the loss is not finite at step \d+ \(seed 0\); there is no checkpoint yet"
    with pytest.raises(NonFiniteLossError, match=message) as stop:
        start([config], [tmp_path / "run"], ONE_DEVICE, silent)
    step = int(re.search(r"step (\d+)", str(stop.value))[1])
    assert 2 <= step <= 5


@pytest.mark.slow
def test_early_stopping_ends_the_run_and_the_best_epoch_counts(small_config, silent, tmp_path):
    config = dataclasses.replace(
        small_config, epochs=30, patience=2, optimizer=OptimizerConfig(learning_rate=0.03)
    )
    (result,) = start([config], [tmp_path / "run"], ONE_DEVICE, silent)
    accuracies = [line["validation"]["accuracy"] for line in silent.lines]
    assert len(accuracies) == result["epochs"] < 30
    assert result["best_epoch"] == 1 + int(np.argmax(accuracies))
    assert result["epochs"] == result["best_epoch"] + 2
    assert result["validation"]["accuracy"] == max(accuracies)


def test_a_process_that_does_not_see_the_run_directory_is_told(small_config, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "SEEN_WITHIN", 0.0)
    monkeypatch.setattr(jax, "process_index", lambda: 1)  # of a host on which the first writes nothing
    with pytest.raises(
        FileNotFoundError, match=r"run_dir is .*a, which is not visible to every process, expected a path"
    ):
        start([small_config], [tmp_path / "a"], ONE_DEVICE)


def test_a_process_waits_until_it_sees_what_another_one_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    threading.Timer(0.5, (tmp_path / "late").touch).start()
    assert session._is_seen(tmp_path / "late")


@pytest.mark.slow
def test_seeds_side_by_side_are_runs_of_their_own(small_config, finished_run, silent, tmp_path):
    configs = [dataclasses.replace(small_config, seed=seed) for seed in (4, 0)]
    paths = [tmp_path / "runs" / str(config.seed) for config in configs]
    results = start(configs, paths, ONE_DEVICE, silent, side_by_side=True)
    assert [result["seed"] for result in results] == [4, 0]
    alone = json.loads((finished_run / "result.json").read_text())
    assert results[1]["best_epoch"] == alone["best_epoch"]
    assert results[1]["test"]["loss"] == pytest.approx(alone["test"]["loss"], abs=1e-4)
    assert [run.config.seed for run in find_runs(tmp_path / "runs")] == [0, 4]
    (paths[1] / "result.json").unlink()
    again = resume(RunDirectory.open(paths[1]), ONE_DEVICE, silent)
    assert again["test"]["loss"] == pytest.approx(alone["test"]["loss"], abs=1e-4)


@pytest.mark.slow
def test_further_seeds_neither_compile_nor_move_data_again(small_config, tmp_path, monkeypatch):
    engines = []
    monkeypatch.setattr(
        "laya_jax.training.session.train", lambda engine, runs, _: engines.append(engine) or [{}]
    )
    configs = [dataclasses.replace(small_config, seed=seed) for seed in (1, 2)]
    start(configs, [tmp_path / "1", tmp_path / "2"], ONE_DEVICE)
    first, second = engines
    assert (first.seeds, second.seeds) == ((1,), (2,))
    for engine in engines:
        placed = engine.place(engine.initial())
        placed = list(engine.train(placed, 0, 2))[-1][0]
        engine.outputs(placed, "validation")
    assert first._train is second._train
    assert first._train._cache_size() == first._draw._cache_size() == 1
    assert first._feed("train") is second._feed("train")


@pytest.mark.slow
@pytest.mark.parametrize("side_by_side", [True, False])
def test_one_seed_that_diverges_keeps_no_other_from_training(
    small_config, silent, tmp_path, monkeypatch, side_by_side
):
    add = Recorder.add

    def diverging(recorder, losses, *arguments, **options):
        broken = recorder.run.config.seed == 1 and recorder.epoch == 1
        add(recorder, losses * np.nan if broken else losses, *arguments, **options)

    monkeypatch.setattr(Recorder, "add", diverging)
    configs = [dataclasses.replace(small_config, seed=seed, epochs=3) for seed in (1, 2)]
    with pytest.raises(
        NonFiniteLossError, match=r"not finite at step \d+ \(seed 1\); the checkpoint of step"
    ):
        start(configs, [tmp_path / "1", tmp_path / "2"], ONE_DEVICE, silent, side_by_side=side_by_side)
    assert not (tmp_path / "1" / "result.json").exists()
    assert len((tmp_path / "1" / "metrics.jsonl").read_text().splitlines()) == 1
    assert len((tmp_path / "2" / "metrics.jsonl").read_text().splitlines()) == 3
    assert json.loads((tmp_path / "2" / "result.json").read_text())["epochs"] == 3


def test_data_that_have_changed_are_refused(unfinished_run, silent, monkeypatch):
    run = RunDirectory.open(unfinished_run)
    dataset = load(run.config.data)
    changed = dataclasses.replace(dataset, test=dataset.test._replace(labels=dataset.test.labels[::-1]))
    monkeypatch.setattr("laya_jax.inputs.gathering.load_for", lambda config, decode: changed)
    with pytest.raises(ValueError, match="the data of 'digits' are not those"):
        resume(run, ONE_DEVICE, silent)


@pytest.mark.slow
def test_a_run_tells_what_its_data_were(small_config, tmp_path, monkeypatch):
    told = dataclasses.replace(load(small_config.data), notes=("two files are no images",))
    monkeypatch.setattr("laya_jax.inputs.gathering.load_for", lambda config, decode: told)
    start([dataclasses.replace(small_config, epochs=1)], [tmp_path / "run"], ONE_DEVICE)
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (data["version"], data["notes"]) == (2, ["two files are no images"])
    assert data["examples"].keys() == {"train", "validation", "test"}
    assert data["examples"]["test"] == np.bincount(told.test.labels).tolist()
    totals = np.sum([data["examples"][split] for split in data["examples"]], axis=0)
    assert tuple(totals) == told.class_counts


def test_a_run_without_a_manifest_goes_on_with_a_warning_that_its_result_tells(unfinished_run, silent):
    (unfinished_run / "manifest.json").unlink()
    with pytest.warns(UserWarning, match=MISSING):
        result = resume(unfinished_run, ONE_DEVICE, silent)
    (warning,) = result["warnings"]
    assert warning.startswith(f"{unfinished_run} {MISSING}")


def test_a_model_larger_than_the_memory_is_refused_before_anything_is_written(small_config, tmp_path):
    backbone = dataclasses.replace(small_config.backbone, widths=(2**24, 2**24))
    with pytest.raises(ValueError, match=r"training needs [\d,]+ GB for its parameters alone, expected"):
        start([dataclasses.replace(small_config, backbone=backbone)], [tmp_path / "run"], ONE_DEVICE)
    assert not (tmp_path / "run").exists()


def test_runs_that_start_together_read_the_same(small_config, tmp_path):
    other = dataclasses.replace(small_config, data=dataclasses.replace(small_config.data, split_seed=1))
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    with pytest.raises(
        ValueError, match=r"configs\[1\] differs from configs\[0\] \(data.split_seed: 0 -> 1\)"
    ):
        start([small_config, other], paths, ONE_DEVICE)
    with pytest.raises(ValueError, match="configs has 1 entries, expected one for each of the 2 paths"):
        start([small_config], paths, ONE_DEVICE)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_data_set_smaller_than_a_batch_is_taken_whole_and_it_is_told(small_config, silent, tmp_path):
    inputs = np.random.default_rng(0).normal(size=(40, 3)) + np.arange(40)[:, None] % 2
    np.savez(tmp_path / "small.npz", X=inputs, y=np.arange(40) % 2)
    data = DataConfig(source=f"npz:{tmp_path / 'small.npz'}")
    loaded = []
    silent.loaded = loaded.append
    start([dataclasses.replace(small_config, data=data)], [tmp_path / "run"], ONE_DEVICE, silent)
    assert loaded[0].notes == ("batch_size is 64, so every step uses all 32 training examples",)
    assert [line["step"] for line in silent.lines] == [1, 2, 3]


def test_a_batch_larger_than_a_named_data_set_is_refused_before_anything_is_written(
    small_config, silent, tmp_path
):
    config = dataclasses.replace(small_config, batch_size=2048)
    with pytest.raises(ValueError, match="batch_size is 2048, expected at most 1455, the number of training"):
        start([config], [tmp_path / "run"], ONE_DEVICE, silent)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "parallel",
    [ONE_DEVICE, ParallelConfig(devices=1, microbatches=4), ParallelConfig(devices=2, parallel="pmap")],
    ids=["whole", "parts", "pmap"],
)
def test_what_dropout_leaves_out_is_the_same_after_a_kill(small_config, tmp_path, parallel):
    head = dataclasses.replace(small_config.head, dropout=0.3, layer_dropout=0.2)
    config = dataclasses.replace(small_config, head=head)
    start([config], [tmp_path / "whole"], parallel)
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    (tmp_path / "killed" / "result.json").unlink()
    last = max((tmp_path / "killed" / "checkpoints").iterdir(), key=lambda path: int(path.name))
    shutil.rmtree(last)
    resume(tmp_path / "killed")  # on what it was started on
    runs = [RunDirectory.open(tmp_path / name) for name in ("whole", "killed")]
    losses = [[line["train"]["loss"] for line in run.lines()] for run in runs]
    assert losses[0] == losses[1]
    jax.tree.map(np.testing.assert_array_equal, *(load_model(run.path).parameters for run in runs))


@pytest.mark.slow
@pytest.mark.parametrize("microbatches", [None, 4])
def test_seeds_side_by_side_leave_out_what_each_alone_does(small_config, tmp_path, microbatches):
    head = dataclasses.replace(small_config.head, dropout=0.3, layer_dropout=0.2)
    configs = [dataclasses.replace(small_config, head=head, seed=seed, epochs=1) for seed in (3, 4)]
    parallel = ParallelConfig(devices=1, microbatches=microbatches)
    alone = start(configs, [tmp_path / name for name in "ab"], parallel)
    together = start(configs, [tmp_path / name for name in "cd"], parallel, side_by_side=True)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one["test"]["loss"], other["test"]["loss"], rtol=1e-4)
    assert alone[0]["test"]["loss"] != alone[1]["test"]["loss"]
