"""Trains one run in a separate process, on one core, and writes its record; started by ``runs``."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

WRONG_INPUT = 2
"""Exit status for invalid input; the last line of output is the error message."""


def main() -> int:
    """Trains the run given by the first line of standard input; stops, as if by SIGTERM, when it closes."""
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        return train(asked)
    except (ValueError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return WRONG_INPUT


def _end_with_parent() -> None:
    # os.read, not sys.stdin.read: Python cannot shut down while a daemon thread holds the buffer's lock.
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


def train(asked: dict[str, Any]) -> int:
    """Starts or resumes a run, and writes its record; returns the exit status."""
    # Set before JAX is first imported, when XLA counts the cores available to the process.
    if asked["core"] is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {asked["core"]})
    from experiments.lib.records import Job, write_record
    from laya_jax.cli.process import prepare_jax
    from laya_jax.engine import from_json
    from laya_jax.inputs import load_for
    from laya_jax.training import CONFIG, Config, Interrupted, ParallelConfig, RunDirectory, resume, start

    prepare_jax()
    config = from_json(Config, asked["config"])
    path, one_device = Path(asked["runs"]) / asked["name"], ParallelConfig(devices=1)
    try:
        if (path / CONFIG).exists():
            resume(RunDirectory.open(path), one_device, config=config)
        else:
            start([config], [path], one_device)
    except Interrupted as interrupted:
        return 128 + interrupted.signal_number
    job, results = Job(asked["name"], asked["dataset"], config), Path(asked["results"])
    if job.record(results) is None:
        write_record(job, RunDirectory.open(path), load_for(config, decode=False), results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
