"""Trains what is missing, one run per core: two side by side finish more in an hour than one on both cores.

A run that was cut off goes on where it was; a run whose record is there is never trained again.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from experiments.command import Interrupted, Places
from experiments.records import Job
from laya_jax.training.config import to_json
from laya_jax.training.run import RESULT


class _Worker(NamedTuple):
    job: Job
    process: subprocess.Popen
    core: int | None
    started: float
    log: Path


def train_missing(jobs: Sequence[Job], places: Places, *, again: bool = False) -> None:
    """Trains the jobs that have no record yet.

    Args:
      jobs: the runs.
      places: where everything is.
      again: whether to train, too, those whose run directory is gone; their records stay as they are.

    Raises:
      ValueError: a record is of another config.
      RuntimeError: a run failed; the others are trained all the same.
      Interrupted: on SIGTERM or SIGINT, once every worker has saved.
    """
    missing = deque(job for job in jobs if not _is_done(job, places, again))
    total, seconds, failed = len(missing), [], []
    cores = _free_cores(places.processes)
    workers: list[_Worker] = []
    with _interruptible(workers) as stop:
        while workers or (missing and not stop):
            while missing and cores and not stop:
                workers.append(_start(missing.popleft(), cores.pop(), places))
            time.sleep(0.2)
            for worker in [worker for worker in workers if worker.process.poll() is not None]:
                workers.remove(worker)
                cores.append(worker.core)
                if worker.process.returncode == 0:
                    seconds.append(time.monotonic() - worker.started)
                    left = total - len(seconds) - len(failed)
                    _say(worker.job, places, len(seconds), total, left * _mean(seconds) / places.processes)
                elif not stop:
                    failed.append(worker)
                    print(f"{worker.job.name} failed; see {worker.log}", file=sys.stderr, flush=True)
    if stop:
        raise Interrupted(stop[0])
    if failed:
        raise RuntimeError(f"{len(failed)} of {total} runs failed: {', '.join(w.job.name for w in failed)}")


def _is_done(job: Job, places: Places, again: bool) -> bool:
    recorded = job.record(places.results) is not None
    return recorded and (not again or (places.runs / job.name / RESULT).exists())


def _start(job: Job, core: int | None, places: Places) -> _Worker:
    log = places.runs / f"{job.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    asked: dict[str, Any] = {
        "name": job.name,
        "dataset": job.dataset,
        "config": to_json(job.config),
        "results": str(places.results.absolute()),
        "runs": str(places.runs.absolute()),
        "core": core,
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.worker"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the parent, which passes it on.
            start_new_session=True,
            text=True,
        )
    assert process.stdin is not None
    with process.stdin:
        json.dump(asked, process.stdin)
    return _Worker(job, process, core, time.monotonic(), log)


def _say(job: Job, places: Places, done: int, total: int, left: float) -> None:
    # Not that of the test split: grid searches and pilots come by here, too.
    record = job.record(places.results)
    accuracy = f"{record['validation']['accuracy']:.4f}" if record else "?"
    print(
        f"{done:>4} of {total}  {job.name}  validation accuracy {accuracy}"
        + (f"  about {left / 60:.0f} min left" if done < total else ""),
        flush=True,
    )


def _free_cores(processes: int) -> list[int | None]:
    """A core for each process; none to choose from where there are fewer cores, or the system cannot pin."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [*cores[:processes]] if 1 < processes <= len(cores) else [None] * processes


def _mean(seconds: Sequence[float]) -> float:
    return sum(seconds) / len(seconds)


@contextmanager
def _interruptible(workers: Sequence[_Worker]) -> Iterator[list[int]]:
    """Signals that asked to stop; the workers, who save at the first one, are told each of them."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame  # of no interest
        noted.append(number)
        for worker in workers:
            worker.process.terminate()

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
