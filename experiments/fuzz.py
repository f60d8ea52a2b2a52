"""Fuzzes the files that commands read, and checks that no command gives a wrong result silently.

    python -m experiments.fuzz                # 600 trials, about 20 minutes on two cores
    python -m experiments.fuzz --trials 60    # a short check

Targets are a finished run, an interrupted run, an exported model, a cache of hidden states, an .npz file, a
folder of images and a .csv file. Each trial copies all targets, damages one file of one target and runs a
command on the copy in a separate process. The outcome is one of

    same       status 0, and exactly the result of the undamaged target
    announced  status 0 and a different result, with a new message on standard error
    refused    status 2 and a one-line error
    wrong      anything else: a different result without a message, a traceback, another status, a timeout

The script exits with 1 if any trial is wrong. Counts and all wrong trials are written to
experiments/results/fuzz.json.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from experiments.lib.mutations import mutate
from experiments.lib.records import RESULTS
from laya_jax.engine import cores
from laya_jax.files import write_json

SMALL_VIT = Path(__file__).parents[1] / "tests" / "golden" / "small_vit"
QUICK = ["--epochs", "2", "--batch-size", "16", "--devices", "1"]
VARIES = {"seconds", "examples_per_second", "run", "out"}
LIMIT = 300.0
"""Time limit of a command in seconds."""


class Target(NamedTuple):
    """Files to damage, and commands that read them.

    Attributes:
      name: Name in the table of outcomes.
      damaged: Path, relative to the folder of all targets, of the directory whose files are damaged.
      commands: Commands that read the target, with paths relative to the folder of all targets. Each trial
        picks one at random.
    """

    name: str
    damaged: str
    commands: tuple[tuple[str, ...], ...]


class Ended(NamedTuple):
    """Outcome of a process: its exit status (None after a timeout) and its standard streams."""

    status: int | None
    out: str
    err: str


TARGETS = (
    Target(
        "finished run",
        "run",
        (
            ("evaluate", "run"),
            ("predict", "run", "--data", "digits", "--out", "p.jsonl"),
            ("resume", "run"),
            ("export", "run", "--out", "exported"),
        ),
    ),
    Target("interrupted run", "unfinished", (("resume", "unfinished"), ("evaluate", "unfinished"))),
    Target(
        "exported model",
        "export",
        (("evaluate", "export"), ("predict", "export", "--data", "digits", "--out", "p.jsonl")),
    ),
    Target("cache of hidden states", "cache/laya_jax/hidden_states", (("evaluate", "frozen"),)),
    Target(".npz file", "arrays", (("evaluate", "of-arrays"), ("resume", "of-arrays-unfinished"))),
    Target("image folder", "photos", (("evaluate", "of-photos"), ("resume", "of-photos-unfinished"))),
    Target(".csv file", "texts", (("evaluate", "of-texts"), ("resume", "of-texts-unfinished"))),
)


def main() -> None:
    """Runs the trials and prints the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        targets = Path(folder) / "targets"
        make_targets(targets)
        expected = {command: in_copy(targets, command, None)[0] for command in all_commands()}
        for command, ended in expected.items():
            if ended.status != 0:
                sys.exit(f"{' '.join(command)} fails on undamaged files: {ended.err}")
        with ThreadPoolExecutor(cores()) as threads:
            rows = list(
                threads.map(lambda number: trial(targets, expected, asked.seed, number), range(asked.trials))
            )
    report(rows, asked, time.monotonic() - start)


def all_commands() -> list[tuple[str, ...]]:
    """Lists the commands of all targets."""
    return [command for target in TARGETS for command in target.commands]


def trial(
    targets: Path, expected: dict[tuple[str, ...], Ended], seed: int, number: int
) -> dict[str, str | int | None]:
    """Damages one file of one target, runs one command on it, and classifies the outcome."""
    generator = random.Random(f"{seed}-{number}")
    target = TARGETS[number % len(TARGETS)]
    command = generator.choice(target.commands)
    ended, damage = in_copy(targets, command, (target.damaged, generator))
    outcome = judge(ended, expected[command])
    row = {"target": target.name, "command": " ".join(command), "damage": damage, "outcome": outcome}
    if outcome == "wrong":
        row |= {"status": ended.status, "out": ended.out[-500:], "err": ended.err[-2000:]}
        print(f"trial {number}: {json.dumps(row, indent=1)}", file=sys.stderr, flush=True)
    return row


def judge(ended: Ended, expected: Ended) -> str:
    """Classifies the outcome of a command on damaged files by its outcome on undamaged ones."""
    lines = [line for line in ended.err.splitlines() if line.strip()]
    if "Traceback" in ended.err or ended.status not in (0, 2):
        return "wrong"
    if ended.status == 2:
        said = [line for line in lines if line.startswith("laya: ")]
        return "refused" if len(said) == 1 and lines[-1] == said[0] and not ended.out else "wrong"
    if _result(ended.out) == _result(expected.out):
        return "same"
    return "announced" if _kinds(ended.err) - _kinds(expected.err) else "wrong"


def in_copy(
    targets: Path, command: Sequence[str], damage: tuple[str, random.Random] | None
) -> tuple[Ended, str]:
    """Runs a command in a copy of all targets, after damaging one file of the given directory, if any."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(targets, Path(folder) / "copy", symlinks=True))
        done = "" if damage is None else mutate(copy / damage[0], damage[1])
        ended = run(copy, command)
        if ended.status == 0 and (copy / "p.jsonl").exists():
            ended = ended._replace(out=ended.out + (copy / "p.jsonl").read_text("utf-8"))
        if ended.status == 0 and (copy / "exported").exists():
            ended = ended._replace(out=ended.out + str((copy / "exported/model.safetensors").read_bytes()))
        return ended, done


def run(folder: Path, command: Sequence[str]) -> Ended:
    """Runs a command in a separate process, forked from a server that has preloaded all modules."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["laya_jax.cli.commands", "orbax.checkpoint", "sklearn.datasets"])
    with tempfile.TemporaryDirectory() as streams:
        out, err = Path(streams) / "out", Path(streams) / "err"
        process = context.Process(target=_laya, args=(folder, [*command, "--json"], out, err))
        process.start()
        process.join(LIMIT)
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
        return Ended(status, out.read_text("utf-8", "replace"), err.read_text("utf-8", "replace"))


def _laya(folder: Path, arguments: list[str], out: Path, err: Path) -> None:
    """Runs the command line in this process, with its standard streams redirected to files."""
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder.parents[1] / "laya-jax-fuzz-compilations")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from laya_jax.cli import main as laya

    sys.exit(laya(arguments))


def make_targets(folder: Path) -> None:
    """Creates all targets in a new folder, using the command line."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True)
    labels = np.arange(60) % 3
    (folder / "arrays").mkdir()
    corners = generator.normal(0, 3, (3, 4))
    np.savez_compressed(
        folder / "arrays" / "points.npz",
        inputs=(corners[labels] + generator.normal(0, 1, (60, 4))).astype(np.float32),
        labels=labels,
    )
    for number in range(40):
        pixels = generator.integers(0, 100, (12, 12, 3)).astype(np.uint8)
        pixels[..., number % 2] += 100
        path = (
            folder / "photos" / ("red", "green")[number % 2] / f"{number}.{('png', 'jpg')[number % 4 // 2]}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    rows = [
        f"a {word} film number {number},{word}" for number in range(20) for word in ("good", "bad", "odd")
    ]
    (folder / "texts").mkdir()
    (folder / "texts" / "reviews.csv").write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    shutil.copytree(SMALL_VIT, folder / "vit", ignore=shutil.ignore_patterns("golden*"))
    digits = ["digits", "--baseline", "None", "--backbone.widths", "16", "12", "--head.dim", "8"]
    photos = ["images:photos", "--data.image-size", "12"]
    frozen = [*photos, "--backbone", "vit:vit", "--freeze"]
    texts = ["texts:texts/reviews.csv", "--backbone.widths", "8", "8", "--backbone.embedding-dim", "8"]
    for name, arguments in (
        ("run", digits),
        ("frozen", frozen),
        ("of-arrays", ["npz:arrays/points.npz", "--backbone.widths", "8", "8"]),
        ("of-photos", [*photos, "--backbone.kind", "mlp", "--backbone.widths", "8", "8"]),
        ("of-texts", texts),
    ):
        _must(folder, ["train", *arguments, "--run-dir", name, *QUICK])
    _must(folder, ["export", "run", "--out", "export"])
    for name in ("run", "of-arrays", "of-photos", "of-texts"):
        _unfinished(folder / name, folder / ("unfinished" if name == "run" else f"{name}-unfinished"))


def _unfinished(run: Path, copy: Path) -> None:
    """Copies a run without its result, as if it had been killed before writing it."""
    shutil.copytree(run, copy)
    (copy / "result.json").unlink()


def _must(folder: Path, arguments: list[str]) -> None:
    ended = run(folder, arguments)
    if ended.status != 0:
        sys.exit(f"laya {' '.join(arguments)}: {ended.err}")


def _result(out: str) -> list[Any]:
    """Parses the lines of standard output and drops fields that vary between identical runs."""
    return [_without(json.loads(line)) if line.startswith("{") else line for line in out.splitlines()]


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(inner) for name, inner in value.items() if name not in VARIES}
    return [_without(inner) for inner in value] if isinstance(value, list) else value


def _kinds(err: str) -> set[str]:
    """Returns the distinct lines of standard error, with numbers and paths masked."""
    return {re.sub(r"[\d.,]+|\S*/\S*", "#", line) for line in err.splitlines() if line.strip()}


def report(rows: Sequence[dict[str, Any]], asked: argparse.Namespace, seconds: float) -> None:
    """Prints and writes the outcomes by target; exits with 1 if any is wrong."""
    outcomes = ("same", "announced", "refused", "wrong")
    counts = {
        target.name: Counter(row["outcome"] for row in rows if row["target"] == target.name)
        for target in TARGETS
    }
    print(f"{'target':<24}" + "".join(f"{outcome:>11}" for outcome in outcomes))
    for name, found in counts.items():
        print(f"{name:<24}" + "".join(f"{found[outcome]:>11}" for outcome in outcomes))
    wrong = [row for row in rows if row["outcome"] == "wrong"]
    print(f"{len(rows)} trials in {seconds:.0f} s, {len(wrong)} wrong")
    values = {
        "trials": len(rows),
        "seed": asked.seed,
        "counts": {name: {outcome: found[outcome] for outcome in outcomes} for name, found in counts.items()},
        "wrong": wrong,
    }
    write_json(RESULTS / "fuzz.json", values)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
