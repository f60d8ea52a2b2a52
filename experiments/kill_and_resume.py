"""Kills training with SIGKILL at random moments, resumes it, and compares with a run that nobody disturbed.

    python -m experiments.kill_and_resume --kills 20

Each is killed at a random moment after a random epoch, so that it has something to go on from. Parameters,
the optimizer's state, metrics and result have to be the same to the last bit (but for times). About four
minutes on two cores; writes experiments/results/kill_and_resume.json.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint

from laya_jax.training.exported import TrainedModel
from laya_jax.training.run import RunDirectory
from laya_jax.training.trained import load_model

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


class Progress(NamedTuple):
    """How far a run has come, by what is on disk.

    Attributes:
      epochs: lines of its metrics.
      checkpoints: names of their folders; one that was being written has a longer name.
      finished: whether its result is there.
    """

    epochs: int
    checkpoints: list[str]
    finished: bool

    @property
    def resumable(self) -> bool:
        """Whether it has something to go on from, and something left to do."""
        return any(name.isdecimal() for name in self.checkpoints) and not self.finished


def kill_after(arguments: list[str], run: Path, epochs: int, delay: float = 0.0) -> Progress:
    """Starts a command and kills it some seconds after its run has written so many epochs and a checkpoint.

    Raises:
      RuntimeError: it ended before.
    """
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not (reached := progress(run)).resumable or reached.epochs < epochs:
            if process.poll() is not None:
                raise RuntimeError(f"ended before epoch {epochs}: {process.communicate()[1]}")
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()
    return progress(run)


def progress(run: Path) -> Progress:
    """How far a run has come."""
    metrics = run / "metrics.jsonl"
    epochs = len(metrics.read_text().splitlines()) if metrics.exists() else 0
    checkpoints = sorted(path.name for path in (run / "checkpoints").glob("*"))
    return Progress(epochs, checkpoints, (run / "result.json").exists())


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
    generator = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Path(folder) / "undisturbed"
        finish(train_command(undisturbed, asked.epochs))
        expected = account(undisturbed)
        seconds = [line["seconds"] for line in RunDirectory.open(undisturbed).lines()]
        rows = []
        for number in range(asked.kills):
            run = Path(folder) / f"killed-{number}"
            epochs, delay = generator.randrange(1, asked.epochs), generator.uniform(0, min(seconds))
            reached = kill_after(train_command(run, asked.epochs), run, epochs, delay)
            finish(command("resume", run))
            same = account(run) == expected
            rows.append({**reached._asdict(), "resumable": reached.resumable, "identical": same})
            verdict = "identical" if same else "DIFFERENT"
            print(f"{number + 1:>3}  killed after {reached.epochs} epochs, {reached.checkpoints}: {verdict}")
    identical, resumable = (sum(row[name] for row in rows) for name in ("identical", "resumable"))
    print(
        f"{identical} of {asked.kills} runs are identical to the undisturbed one; {resumable} went on from a "
        "checkpoint"
    )
    path = RESULTS / "kill_and_resume.json"
    path.write_text(json.dumps({"epochs": asked.epochs, "seed": asked.seed, "kills": rows}, indent=1) + "\n")
    sys.exit(identical != asked.kills)


if __name__ == "__main__":
    main()
