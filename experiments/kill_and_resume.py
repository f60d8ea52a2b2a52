"""Kills commands with SIGKILL at random moments, reruns or resumes them, and compares every byte.

    python -m experiments.kill_and_resume --kills 100

Alternates between training on the digits, training on a frozen backbone (mostly killed while hidden states
are computed), ``predict``, ``report`` and ``export``. After a kill, a training run must resume, and any other
command must run again without prior cleanup. Parameters, optimizer state, metrics, results and written files
must be bit-identical to those of an uninterrupted process, except for times. Takes about half an hour on two
cores, writes experiments/results/kill_and_resume.json and exits with 1 if anything differs.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint
from PIL import Image

from experiments.lib.records import RESULTS
from laya_jax.cli.process import prepare_jax
from laya_jax.engine import TrainedModel
from laya_jax.files import digest, write_json
from laya_jax.training import load_model

TIMES = ("seconds", "examples_per_second", "run")
SMALL_VIT = Path(__file__).parents[1] / "tests" / "golden" / "small_vit"


def command(*arguments: object) -> list[str]:
    """Returns the argument list that runs the command line in a separate process."""
    return [sys.executable, "-m", "laya_jax", *map(str, arguments), "--json"]


def train_command(run: Path, epochs: int) -> list[str]:
    """Returns the argument list that trains LAYA on the digits for the given number of epochs."""
    return command(
        "train", "digits", "--baseline", "None", "--run-dir", run, "--epochs", epochs, "--patience", epochs
    )


def finish(arguments: list[str]) -> None:
    """Runs a command to completion."""
    ended = subprocess.run(arguments, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {ended.stderr}")


class Progress(NamedTuple):
    """State of a run according to the files on disk.

    Attributes:
      epochs: Number of epochs in the metrics file.
      checkpoints: Names of the checkpoint folders; a name that is not a number is an incomplete checkpoint.
      finished: True if the result has been written.
    """

    epochs: int
    checkpoints: list[str]
    finished: bool

    @property
    def resumable(self) -> bool:
        """True if there is a complete checkpoint and the run has not finished."""
        return any(name.isdecimal() for name in self.checkpoints) and not self.finished


def kill_after(arguments: list[str], run: Path, epochs: int, delay: float = 0.0) -> Progress:
    """Starts a command and kills it a delay after its run has reached a number of epochs and a checkpoint.

    Raises:
      RuntimeError: The command ended before it was killed.
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
    """Reads the state of a run from its files."""
    metrics = run / "metrics.jsonl"
    epochs = len(metrics.read_text("utf-8").splitlines()) if metrics.exists() else 0
    checkpoints = sorted(path.name for path in (run / "checkpoints").glob("*"))
    return Progress(epochs, checkpoints, (run / "result.json").exists())


def without_times(value: Any) -> Any:
    """Removes fields that vary between identical runs from a JSON value."""
    if isinstance(value, dict):
        return {name: without_times(inner) for name, inner in value.items() if name not in TIMES}
    return value


def latest_state(run: Path) -> Any:
    """Reads the state of the latest checkpoint: parameters, optimizer state, step."""
    latest = max((run / "checkpoints").iterdir(), key=lambda path: int(path.name))
    with orbax.checkpoint.PyTreeCheckpointer() as checkpointer:
        return checkpointer.restore((latest / "state").absolute())


def account(run: Path) -> tuple[list[Any], Any, list[bytes]]:
    """Collects all that must be equal: metrics, result, and bytes of the best parameters and latest state."""
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    metrics = [without_times(json.loads(line)) for line in lines]
    result = without_times(json.loads((run / "result.json").read_text("utf-8")))
    model: TrainedModel = load_model(run)
    leaves = jax.tree.leaves((model.parameters, latest_state(run)))
    return metrics, result, [np.asarray(leaf).tobytes() for leaf in leaves]


def digests(path: Path) -> dict[str, str]:
    """Computes the SHA-256 of a file, or of every file in a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file.relative_to(path)): digest(file) for file in files if file.is_file()}


class Victim(NamedTuple):
    """Command to kill.

    Attributes:
      name: Name in the report.
      arguments: Function from the output path to the command's argument list.
      account: Function from the output path to everything that must be equal.
      trains: True if the command trains, so ``laya resume`` continues its run.
    """

    name: str
    arguments: Callable[[Path], list[str]]
    account: Callable[[Path], Any]
    trains: bool


def victims(folder: Path, epochs: int) -> list[Victim]:
    """Creates the inputs of the commands in a folder, and returns the commands."""
    run, photos, vit = folder / "run", folder / "photos", folder / "vit"
    finish(train_command(run, epochs))
    _make_photos(photos)
    shutil.copytree(SMALL_VIT, vit)
    pixels = np.random.default_rng(0).integers(0, 17, (200_000, 8, 8, 1)).astype(np.uint8)
    np.savez(folder / "many.npz", inputs=pixels)

    def frozen(out: Path) -> list[str]:
        data = (f"images:{photos}", "--backbone", f"vit:{vit}", "--freeze", "--data.image-size", 12)
        quick = ("--epochs", 3, "--batch-size", 64, "--devices", 1)
        return command("train", *data, *quick, "--run-dir", out)

    many = f"npz:{folder / 'many.npz'}"
    return [
        Victim("train digits", lambda out: train_command(out, epochs), account, trains=True),
        Victim("train on a frozen backbone", frozen, account, trains=True),
        Victim(
            "predict",
            lambda out: command("predict", run, "--data", many, "--out", out.with_suffix(".csv")),
            lambda out: digests(out.with_suffix(".csv")),
            trains=False,
        ),
        Victim(
            "report",
            lambda out: command("report", run, "--out", out.with_suffix(".html")),
            lambda out: digests(out.with_suffix(".html")),
            trains=False,
        ),
        Victim("export", lambda out: command("export", run, "--out", out), digests, trains=False),
    ]


def _make_photos(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(4000):
        path = folder / ("red", "green")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 100, (12, 12, 3)).astype(np.uint8)
        pixels[..., number % 2] += 100
        Image.fromarray(pixels).save(path)


def kill_at(arguments: list[str], delay: float, cache: Path) -> bool:
    """Starts a command with a separate cache and kills it after a delay; returns False if it had ended."""
    environment = {**_environment(), "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        time.sleep(delay)
        running = process.poll() is None
        process.kill()
    return running


def again(victim: Victim, out: Path, cache: Path) -> None:
    """Reruns a killed command, or resumes its run."""
    arguments = command("resume", out) if victim.trains and out.exists() else victim.arguments(out)
    written = [path for path in (out, out.with_suffix(".csv"), out.with_suffix(".html")) if path.exists()]
    if written and not victim.trains:
        return  # The output was complete before the kill; the comparison verifies it.
    ended = subprocess.run(
        arguments,
        check=False,
        capture_output=True,
        text=True,
        env={**_environment(), "XDG_CACHE_HOME": str(cache)},
    )
    if ended.returncode:
        print(f"{' '.join(arguments)}: {ended.stderr}", file=sys.stderr)


def _environment() -> dict[str, str]:
    return {"JAX_COMPILATION_CACHE_DIR": str(Path(tempfile.gettempdir()) / "laya-jax-kills"), **os.environ}


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    prepare_jax()
    generator, rows = random.Random(asked.seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = victims(folder, asked.epochs)
        expected, seconds = {}, {}
        for number, victim in enumerate(commands):
            out, cache = folder / f"undisturbed-{number}", folder / f"cache-{number}"
            again(victim, out, cache)  # includes compilation
            expected[victim.name] = victim.account(out)
            out, cache = folder / f"timed-{number}", folder / f"other-cache-{number}"
            start = time.monotonic()
            again(victim, out, cache)
            seconds[victim.name] = time.monotonic() - start
        for number in range(asked.kills):
            victim = commands[number % len(commands)]
            out, cache = folder / f"killed-{number}", folder / f"killed-cache-{number}"
            delay = generator.uniform(0.2, 1.0) * seconds[victim.name]
            while not (running := kill_at(victim.arguments(out), delay, cache)):
                delay /= 2  # it had ended: the machine is less busy than when it was timed
                out, cache = out.with_name(f"{out.name}-again"), cache.with_name(f"{cache.name}-again")
            left = _left(folder, out)
            again(victim, out, cache)
            rows.append(
                {
                    "command": victim.name,
                    "seconds": round(delay, 2),
                    "running": running,
                    "left": left,
                    "identical": _account(victim, out) == expected[victim.name],
                }
            )
            print(f"{number + 1:>3}  {json.dumps(rows[-1])}", flush=True)
    report(rows, asked)


def _left(folder: Path, out: Path) -> list[str]:
    """Lists the files left by a killed command, including checkpoints, to show how far it had come."""
    names = [path.name for path in folder.glob(f"{out.name}*")]
    return sorted([*names, *(f"checkpoints/{path.name}" for path in (out / "checkpoints").glob("*"))])


def _account(victim: Victim, out: Path) -> Any:
    try:
        return victim.account(out)
    except (OSError, ValueError) as error:
        return str(error)


def report(rows: Sequence[dict[str, Any]], asked: argparse.Namespace) -> None:
    """Prints the counts by command, writes all kills, and exits with 1 if anything differs."""
    kills, running, identical = (
        Counter(row["command"] for row in rows if which(row))
        for which in (lambda row: True, lambda row: row["running"], lambda row: row["identical"])
    )
    for name, count in kills.items():
        print(f"{name:<28}{count:>4} kills, {running[name]:>3} while running, {identical[name]:>3} identical")
    write_json(
        RESULTS / "kill_and_resume.json", {"epochs": asked.epochs, "seed": asked.seed, "kills": list(rows)}
    )
    sys.exit(sum(identical.values()) != len(rows))


if __name__ == "__main__":
    main()
