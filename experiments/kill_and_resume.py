"""Kills training with SIGKILL at random moments, resumes it, and compares with a run that nobody disturbed.

    python -m experiments.kill_and_resume --kills 20

Parameters, the optimizer's state, metrics and result have to be the same to the last bit (but for times).
About four minutes on two cores; writes experiments/results/kill_and_resume.json.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint

from laya_jax.training.exported import TrainedModel
from laya_jax.training.session import load_model

RESULTS = Path(__file__).parent / "results"
TIMES = ("seconds", "examples_per_second", "run")


def command(*arguments: object) -> list[str]:
    """The command line in a process of its own."""
    return [sys.executable, "-m", "laya_jax", *map(str, arguments), "--json"]


def train_command(run: Path, epochs: int) -> list[str]:
    """Trains LAYA on the digits for this many epochs."""
    return command(
        "train", "digits", "--baseline", "None", "--run-dir", run, "--epochs", epochs, "--patience", epochs
    )


def finish(arguments: list[str]) -> None:
    """Runs a command to its end."""
    subprocess.run(arguments, check=True, capture_output=True)


def start(arguments: list[str], run: Path) -> subprocess.Popen:
    """Starts a command and waits until its run has appeared."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not run.exists() and process.poll() is None:
        time.sleep(0.005)
    return process


def seconds_of(arguments: list[str], run: Path) -> float:
    """How long a command works on its run."""
    process = start(arguments, run)
    appeared = time.monotonic()
    process.wait()
    return time.monotonic() - appeared


def kill_after(arguments: list[str], run: Path, delay: float) -> str:
    """Starts a command and kills it some seconds after its run has appeared; says how far it had come."""
    process = start(arguments, run)
    time.sleep(delay)
    process.kill()
    process.wait()
    return progress(run)


def progress(run: Path) -> str:
    """How far a run has come: its epochs and checkpoints on disk."""
    metrics = run / "metrics.jsonl"
    epochs = len(metrics.read_text().splitlines()) if metrics.exists() else 0
    checkpoints = sorted(path.name for path in (run / "checkpoints").glob("*"))
    finished = ", result written" if (run / "result.json").exists() else ""
    return f"{epochs} epochs, checkpoints {checkpoints}{finished}"


def without_times(value: Any) -> Any:
    """JSON without what may differ between two runs that are the same."""
    if isinstance(value, dict):
        return {name: without_times(inner) for name, inner in value.items() if name not in TIMES}
    return value


def latest_state(run: Path) -> Any:
    """The state of the latest checkpoint: parameters, the optimizer's state, step."""
    latest = max((run / "checkpoints").iterdir(), key=lambda path: int(path.name))
    with orbax.checkpoint.PyTreeCheckpointer() as checkpointer:
        return checkpointer.restore((latest / "state").absolute())


def account(run: Path) -> tuple[list[Any], Any, list[bytes]]:
    """All that has to be the same: metrics, result, the bytes of the best parameters and the latest state."""
    metrics = [without_times(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]
    result = without_times(json.loads((run / "result.json").read_text()))
    model: TrainedModel = load_model(run)
    leaves = jax.tree.leaves((model.parameters, latest_state(run)))
    return metrics, result, [np.asarray(leaf).tobytes() for leaf in leaves]


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    delays = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Path(folder) / "undisturbed"
        finish(train_command(undisturbed, asked.epochs))
        timed = Path(folder) / "timed"
        duration = seconds_of(train_command(timed, asked.epochs), timed)
        expected = account(undisturbed)
        rows = []
        for number in range(asked.kills):
            run = Path(folder) / f"killed-{number}"
            delay = delays.uniform(0, duration)
            reached = kill_after(train_command(run, asked.epochs), run, delay)
            finish(command("resume", run))
            same = account(run) == expected
            rows.append({"killed_after": round(delay, 3), "reached": reached, "identical": same})
            verdict = "identical" if same else "DIFFERENT"
            print(f"{number + 1:>3}  killed after {delay:5.2f} s ({reached}): {verdict}")
    identical = sum(row["identical"] for row in rows)
    print(f"{identical} of {asked.kills} resumed runs are identical to the undisturbed one")
    path = RESULTS / "kill_and_resume.json"
    path.write_text(json.dumps({"epochs": asked.epochs, "seed": asked.seed, "kills": rows}, indent=1) + "\n")
    sys.exit(identical != asked.kills)


if __name__ == "__main__":
    main()
