"""What a run knows between its steps, when a part of its checkpoints is damaged."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from laya_jax.data import Preprocessing, Schema
from laya_jax.engine.config import OptimizerConfig
from laya_jax.engine.metrics import Metrics
from laya_jax.engine.parallel import ParallelConfig
from laya_jax.engine.state import TrainState
from laya_jax.training import Config, load_model, resume, start
from laya_jax.training.checkpoint import Checkpoints, DamagedCheckpointError
from laya_jax.training.recorder import recording
from laya_jax.training.run_directory import RunDirectory

ONE_DEVICE = ParallelConfig(devices=1)
SCHEMA = Schema(("no", "yes"), Preprocessing("features", (3,)), None)


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "run", Config(patience=4, epochs=9), SCHEMA, fingerprint=7)


def state(step):
    return TrainState(np.array(step, np.int32), {"kernel": np.full((64, 32), step, np.float32)}, ())


INITIAL = state(0)


def metrics(accuracy):
    return Metrics(10, 1.0, accuracy, accuracy, 0.1, None, None)


def end_epoch(recorder, step, accuracy):
    recorder.add(np.ones(1), np.ones(1), np.ones(1), step=step - 1, seconds=1.0)
    recorder.end_epoch(metrics(accuracy), state(step))


def train(run, accuracies, *, first_step=10):
    with recording(run, 10) as recorder:
        recorder.resume(INITIAL)
        for number, accuracy in enumerate(accuracies):
            end_epoch(recorder, first_step + 10 * number, accuracy)


def damage(run, *steps):
    """Cuts off every file of these checkpoints' states."""
    for step in steps:
        for path in (run.path / "checkpoints" / str(step) / "state").rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[:10])


def test_a_run_goes_on_without_its_best_checkpoint_and_says_so(run):
    train(run, [0.5, 0.9, 0.7, 0.8])
    damage(run, 20)
    message = (
        r"epoch 2, with validation accuracy 0\.9000, was the best, but its checkpoint cannot be read; "
        r"epoch 4, with 0\.8000, replaces it"
    )
    with recording(run, 10) as recorder:
        with pytest.warns(UserWarning, match=message) as warned:
            assert recorder.resume(INITIAL).step == 40
        assert "delete" not in str(warned[0].message)
        assert (recorder.epoch, recorder.stopping.best_epoch, recorder.stopping.waited) == (4, 4, 2)
        end_epoch(recorder, 50, 0.75)
    with recording(run, 10) as recorder:  # which knows of it still
        assert recorder.resume(INITIAL).step == 50
        assert recorder.stopping.waited == 3
        assert recorder.best(INITIAL).step == 40
        result = recorder.finish(metrics(0.8), None)
    assert result["best_epoch"] == 4
    assert result["validation"]["accuracy"] == 0.8
    assert result["warnings"] == recorder.warnings
    assert len(result["warnings"]) == 1
    assert Checkpoints(run.path / "checkpoints", read_only=True).steps()[:2] == [50, 40]


def test_the_first_of_the_epochs_left_that_are_equally_good_is_the_best(run):
    train(run, [0.9, 0.6, 0.8, 0.8])
    damage(run, 10)
    with recording(run, 10) as recorder:
        with pytest.warns(UserWarning, match="epoch 3, with 0"):
            recorder.resume(INITIAL)
        assert recorder.best(INITIAL).step == 30


def test_if_only_states_within_an_epoch_are_left_the_next_one_is_the_best(run):
    train(run, [0.9])
    with recording(run, 10) as recorder:
        recorder.resume(INITIAL)
        for step in (13, 16):
            recorder.save(state(step))
    damage(run, 10)
    with recording(run, 10) as recorder:
        with pytest.warns(UserWarning, match="the best of the coming epochs replaces it"):
            assert recorder.resume(INITIAL).step == 16
        end_epoch(recorder, 20, 0.2)
        assert recorder.best(INITIAL).step == 20


def test_a_best_checkpoint_that_is_damaged_at_the_end_is_replaced_as_well(run):
    train(run, [0.9, 0.6, 0.8])
    with recording(run, 10) as recorder:
        recorder.resume(INITIAL)
        damage(run, 10)
        with pytest.warns(UserWarning, match="epoch 3, with 0"):
            assert recorder.best(INITIAL).step == 30
        damage(run, 20, 30)
        with (
            pytest.warns(UserWarning, match="the best of the coming epochs"),
            pytest.raises(DamagedCheckpointError, match="no readable checkpoint of any epoch"),
        ):
            recorder.best(INITIAL)


@pytest.mark.parametrize("content", ["", "first line", "two of the second"])
def test_metrics_that_do_not_go_with_the_checkpoint_are_told_before_anything_is_changed(run, content):
    train(run, [0.5, 0.9, 0.7])
    path, checkpoints = run.path / "metrics.jsonl", run.path / "checkpoints"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text({"": "", "first line": lines[0]}.get(content, lines[0] + 2 * lines[1]))
    before = sorted(path for path in run.path.rglob("*") if path.is_file())
    with (
        recording(run, 10) as recorder,
        pytest.raises(ValueError, match=r"metrics\.jsonl has changed since it was written"),
    ):
        recorder.resume(INITIAL)
    (run.path / "manifest.json").unlink()  # as in a run of an earlier version
    held = {"": 0, "first line": 1}.get(content, 3)
    message = (
        rf"metrics\.jsonl holds {held} of the 3 epochs up to the checkpoint of step 30.*{checkpoints} to"
    )
    with recording(run, 10) as recorder, pytest.raises(ValueError, match=message):
        recorder.resume(INITIAL)
    assert sorted(path for path in run.path.rglob("*") if path.is_file()) == [
        path for path in before if path.name != "manifest.json"
    ]


@pytest.mark.slow
def test_a_run_killed_at_any_write_goes_on_and_ends_the_same(tmp_path):
    """In processes that end at once, after the first, the second ... write to the disk."""
    code = f"""
import os, pathlib, sys, warnings
warnings.simplefilter("ignore")
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
import orbax.checkpoint, filelock
from laya_jax import files
from laya_jax.training import Config, manifest
from laya_jax.training.run_directory import RunDirectory
from test_recorder import INITIAL, SCHEMA, end_epoch, metrics, recording

def work(path):
    if not path.exists():
        RunDirectory.create(path, Config(patience=9, epochs=3), SCHEMA, fingerprint=7)
    run = RunDirectory.open(path)
    run.move(run.config)
    with recording(run, 10) as recorder:
        recorder.resume(INITIAL)
        while not recorder.finished:
            end_epoch(recorder, 10 * recorder.epoch + 10, (0.5, 0.9, 0.7)[recorder.epoch])
        recorder.best(INITIAL)
        if run.result() is None:
            recorder.finish(metrics(0.8), None)

def in_process(path, writes):
    pid = os.fork()
    if pid == 0:
        left = [writes]
        def counted(call):
            def call_unless_killed(*arguments, **options):
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return call(*arguments, **options)
            return call_unless_killed
        os.replace, os.fsync, os.rename = map(counted, (os.replace, os.fsync, os.rename))
        work(path)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

for writes in range(200):
    path = pathlib.Path({str(tmp_path)!r}) / str(writes)
    if in_process(path, writes) == 0:
        break
    assert in_process(path, -1) == 0, writes
print(writes)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    kills = int(ended.stdout)
    assert kills >= 15
    whole = contents(tmp_path / str(kills))
    assert len(whole) == 4
    for number in range(kills):
        assert contents(tmp_path / str(number)) == whole, number


def contents(path):
    """All of a run that must not depend on when it was killed."""
    run = RunDirectory.open(path)
    steps = Checkpoints(path / "checkpoints", read_only=True).steps()
    return list(run.lines()), {**run.result(), "run": None}, steps, run.config


@pytest.mark.slow
def test_a_run_that_had_stopped_ends_with_the_best_that_is_left(small_config, silent, tmp_path):
    config = dataclasses.replace(
        small_config, epochs=30, patience=2, optimizer=OptimizerConfig(learning_rate=0.03)
    )
    (before,) = start([config], [tmp_path / "run"], ONE_DEVICE)
    run = RunDirectory.open(tmp_path / "run")
    (run.path / "result.json").unlink()
    scores = run.scores()
    best, *left = list(scores)[-3:]
    damage(run, best)
    with pytest.warns(UserWarning, match=f"checkpoint {best} cannot be read"):
        after = resume(run, ONE_DEVICE, silent)
    assert silent.lines == []
    assert after["epochs"] == before["epochs"]
    assert after["validation"]["accuracy"] == max(scores[step] for step in left)
    assert "replaces it" in after["warnings"][0]
    assert json.loads((run.path / "result.json").read_text()) == after
    step = max(left, key=lambda step: scores[step])
    with pytest.warns(UserWarning, match=f"it was the best one, using that of step {step}"):
        best_left = load_model(run.path).parameters
    latest = load_model(run.path, latest=True).parameters
    same = jax.tree.all(jax.tree.map(np.array_equal, best_left, latest))
    assert same == (step == max(left))
