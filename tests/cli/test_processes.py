"""Real processes, killed for real."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from real_processes import COMPILATION, free_port

from experiments import kill_and_resume

pytestmark = pytest.mark.slow

EPOCHS = 30


@pytest.fixture(scope="module", autouse=True)
def environment():
    """One device."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", COMPILATION["XLA_FLAGS"])
        yield


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.005)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    kill_and_resume.finish(kill_and_resume.train_command(run, EPOCHS))
    return kill_and_resume.account(run)


@pytest.mark.parametrize("epochs", [2, 5])
def test_a_killed_run_resumes_bit_identically(undisturbed, tmp_path, epochs):
    run = tmp_path / "run"
    reached = kill_and_resume.kill_after(kill_and_resume.train_command(run, EPOCHS), run, epochs)
    assert epochs <= reached.epochs
    assert reached.resumable
    kill_and_resume.finish(kill_and_resume.command("resume", run))
    assert kill_and_resume.account(run) == undisturbed


def test_a_run_that_is_killed_at_its_very_start_starts_over(undisturbed, tmp_path):
    run = tmp_path / "run"
    with subprocess.Popen(kill_and_resume.train_command(run, EPOCHS), stderr=subprocess.DEVNULL) as process:
        wait_for(run, process)
        process.kill()
    kill_and_resume.finish(kill_and_resume.command("resume", run))
    assert kill_and_resume.account(run) == undisturbed


def test_sigterm_saves_and_has_a_status_of_its_own(tmp_path):
    run = tmp_path / "run"
    arguments = kill_and_resume.train_command(run, 1000)
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        wait_for(run / "metrics.jsonl", process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == f"laya: interrupted by SIGTERM and saved; to continue: laya resume {run}"
    latest = max(int(path.name) for path in (run / "checkpoints").glob("*") if path.name.isdecimal())
    assert json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"] <= latest


def test_a_full_disk_gets_one_line_and_leaves_what_was_written(tmp_path):
    run = tmp_path / "run"

    # Stands for a full disk: no file can grow beyond 20 kB, so that the checkpoints do not fit.
    limited = ["bash", "-c", "trap '' XFSZ; ulimit -f 20; exec \"$@\"", "bash"]
    process = subprocess.run(
        [*limited, *kill_and_resume.train_command(run, EPOCHS)],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "none")},
        check=False,
    )
    assert process.returncode == 2, process.stderr
    *said, line = process.stderr.splitlines()
    assert line == f"laya: {run}/checkpoints: File too large"
    assert all(other.startswith(("laya seed", "classes", "training", "warning: c")) for other in said)
    subprocess.run(kill_and_resume.command("resume", run), capture_output=True, check=True)
    assert (run / "result.json").exists()


@pytest.mark.parametrize("victim", [0, 1])
def test_if_one_of_two_processes_is_killed_the_other_ends_in_a_line_and_the_run_goes_on(tmp_path, victim):
    run = tmp_path / "run"
    several = ["--coordinator", f"localhost:{free_port()}", "--processes", "2", "--process"]
    options = ["--epochs", "40", "--optimizer.schedule", "cosine", *several]
    processes = [
        subprocess.Popen(
            [
                *kill_and_resume.command("train", "digits", "--baseline", "None", "--run-dir", run),
                *options,
                number,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in "01"
    ]
    wait_for(run / "checkpoints" / "22", processes[0])
    processes[victim].kill()
    other = processes[1 - victim]
    out, err = other.communicate(timeout=60)
    processes[victim].communicate()
    assert (other.returncode, out) == (1, "")
    *said, line = err.splitlines()
    ended = "of this run has died or cannot be reached; restart all processes with: laya resume"
    assert line == f"laya: process {victim} {ended}"
    assert all(other.startswith(("laya seed", "classes", "training", "[Gloo]")) for other in said)
    kill_and_resume.finish(kill_and_resume.command("resume", run))
    assert (run / "result.json").exists()


def test_the_module_is_the_command():
    printed = subprocess.run(
        [sys.executable, "-m", "laya_jax"], capture_output=True, text=True, check=True
    ).stdout
    assert "laya train [EXPERIMENT | DATA]" in printed
