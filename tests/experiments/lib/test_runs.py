"""Workers, as real processes that are killed for real, on the digits."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from experiments.configs import config_of
from laya_jax.engine.config import to_json
from laya_jax.training import BackboneConfig, Config, OptimizerConfig
from laya_jax.training.run_directory import RunDirectory

pytestmark = pytest.mark.slow

COMMAND = """
import json, sys
from pathlib import Path
from experiments.lib.command import Places, errors_in_a_line
from experiments.lib.records import Job
from experiments.lib.runs import train_missing
from laya_jax.training import Config
from laya_jax.engine.config import from_json

folder, processes, configs = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
jobs = [Job(name, "digits", from_json(Config, config)) for name, config in configs.items()]
with errors_in_a_line("command"):
    train_missing(jobs, Places(folder / "results", folder / "runs", processes))
"""

HEEDING = (
    sys.executable,
    "-c",
    "import os, signal as s, sys; s.signal(s.SIGHUP, s.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
)
"""Runs a command that heeds SIGHUP even if these tests run under nohup."""

LONG = 3000
"""Epochs: more than any test waits for, few enough for what is left behind to end by itself."""


def digits(epochs, **changes):
    return replace(config_of("digits", "laya"), epochs=epochs, patience=epochs, **changes)


def wrong(folder):
    return digits(1, backbone=BackboneConfig(kind="vit", path=str(folder / "nowhere")))


def start(folder, processes, before=HEEDING, **configs):
    jobs = json.dumps({name: to_json(config) for name, config in configs.items()})
    command = [*before, sys.executable, "-c", COMMAND, str(folder), str(processes), jobs]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder, processes, **configs):
    process = start(folder, processes, **configs)
    _, said = process.communicate(timeout=300)
    return process.returncode, said.splitlines()


def wait_until(happened, process=None):
    end = time.monotonic() + 300
    while not happened():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def epochs_of(path):
    return [line["epoch"] for line in RunDirectory(path, Config()).lines()]


def is_free(path):
    try:
        with RunDirectory(path, Config()).lock():
            return True
    except FileExistsError:
        return False


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGHUP, 128 + signal.SIGHUP)]
)
def test_a_worker_saves_and_ends_with_its_parent_and_the_same_command_goes_on(tmp_path, number, status):
    path = tmp_path / "runs/long"
    with start(tmp_path, 1, long=digits(LONG)) as process:
        wait_until(lambda: epochs_of(path), process)
        process.send_signal(number)
        assert process.wait(timeout=300) == status
    wait_until(lambda: is_free(path))
    assert not (path / "result.json").exists()
    reached = list(RunDirectory(path, Config()).lines())[-1]
    saved = max(int(folder.name) for folder in (path / "checkpoints").iterdir() if folder.name.isdecimal())
    assert reached["step"] <= saved
    with start(tmp_path, 1, long=digits(LONG)) as process:
        wait_until(lambda: len(epochs_of(path)) > reached["epoch"], process)
        process.terminate()
        assert process.wait(timeout=300) == 128 + signal.SIGTERM
    assert epochs_of(path) == list(range(1, len(epochs_of(path)) + 1))


def test_no_worker_is_left_when_an_error_ends_its_parent(tmp_path):
    (tmp_path / "runs/third.log").mkdir(parents=True)
    status, said = run(tmp_path, 2, short=digits(30), long=digits(LONG), third=digits(1))
    assert (status, len(said)) == (2, 1)
    assert "Is a directory" in said[0]
    path = tmp_path / "runs/long"
    assert not path.exists() or is_free(path)
    assert not (path / "result.json").exists()


def test_nohup_is_heeded(tmp_path):
    with start(tmp_path, 1, ["nohup"], short=digits(2)) as process:
        wait_until((tmp_path / "runs/short.log").exists, process)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=300) == 0
    assert (tmp_path / "results/short.json").exists()


def test_wrong_input_is_told_in_a_line_and_nothing_more_is_started(tmp_path):
    log = tmp_path / "runs/first.log"
    log.parent.mkdir()
    log.write_text("what an earlier worker said")
    status, said = run(tmp_path, 1, first=wrong(tmp_path), second=digits(1))
    cause = said[1].removeprefix("command: ")
    assert "nowhere" in cause
    assert status == 2
    assert said == [f"first failed with status 2: {cause}; see {log}", f"command: {cause}"]
    assert log.read_text() == f"what an earlier worker said{cause}\n"
    assert not (tmp_path / "runs/second.log").exists()


def test_runs_side_by_side_with_wrong_input_finish(tmp_path):
    status, said = run(tmp_path, 2, first=wrong(tmp_path), second=digits(1))
    assert status == 2
    assert "nowhere" in said[-1]
    assert (tmp_path / "results/second.json").exists()


def test_a_run_that_fails_in_training_is_told_with_its_cause_and_the_others_go_on(tmp_path):
    diverging = digits(2, optimizer=OptimizerConfig(learning_rate=1e38))
    status, said = run(tmp_path, 1, first=diverging, second=digits(1))
    assert status == 1
    assert "first failed with status 1" in said[0]
    assert "NonFiniteLossError" in said[0]
    assert said[1:] == ["command: 1 of 2 runs failed: first"]
    assert (tmp_path / "results/second.json").exists()
