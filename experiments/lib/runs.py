"""Trains missing runs, one per core: two parallel runs on one core each outpace two in a row on both cores.

An interrupted run is resumed; a run with a record is not trained again unless its directory is needed.
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

from experiments.lib.command import Interrupted, Places
from experiments.lib.records import Job
from experiments.lib.worker import WRONG_INPUT
from laya_jax.engine import to_json
from laya_jax.training import RESULT


class _Worker(NamedTuple):
    job: Job
    process: subprocess.Popen
    core: int | None
    started: float
    log: Path
    logged: int  # size in bytes of the log before this worker started

    def end(self) -> None:
        """Asks the worker to save and exit by closing its pipe; unlike a signal, this can be repeated."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def last_line(self) -> str:
        """Returns the last line that this worker logged, ignoring earlier workers."""
        lines = self.log.read_bytes()[self.logged :].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"


def train_missing(jobs: Sequence[Job], places: Places, *, again: bool = False) -> None:
    """Trains all jobs without a record.

    Args:
      jobs: Runs to train.
      places: Output folders and number of parallel runs.
      again: If True, also trains jobs whose run directory has no result; their records are kept unchanged.

    Raises:
      ValueError: A record has a different config, or a run has invalid input; runs in progress are finished,
        and no others are started.
      RuntimeError: A run failed; all other runs have been trained.
      Interrupted: SIGTERM, SIGINT or SIGHUP was received; raised after every worker has saved.
    """
    missing = deque(job for job in jobs if not _is_done(job, places, again))
    total, seconds = len(missing), []
    cores = _free_cores(places.processes)
    workers: list[_Worker] = []
    failed: list[_Worker] = []
    with _interruptible(workers) as stop:
        while workers or (missing and not stop):
            while missing and cores and not stop:
                workers.append(_start(missing.popleft(), cores.pop(), places))
            time.sleep(0.2)
            if stop:
                _end(workers)
            for worker in _take_ended(workers):
                cores.append(worker.core)
                if worker.process.returncode == 0:
                    seconds.append(time.monotonic() - worker.started)
                    left = len(missing) + len(workers)
                    _say(worker.job, places, len(seconds), total, left * _mean(seconds) / places.processes)
                elif not stop:
                    failed.append(worker)
                    _say_failure(worker)
                    if worker.process.returncode == WRONG_INPUT:
                        missing.clear()  # the others would probably fail in the same way
    if stop:
        raise Interrupted(stop[0])
    _raise_for(failed, total)


def _raise_for(failed: Sequence[_Worker], total: int) -> None:
    for worker in failed:
        if worker.process.returncode == WRONG_INPUT:
            raise ValueError(worker.last_line())
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
    with log.open("ab") as output:
        logged = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.lib.worker"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # Ctrl-C reaches only the parent, which stops its workers.
            start_new_session=True,
            text=True,
        )
    # The pipe stays open until this process ends in any way; the worker exits when it closes.
    print(json.dumps(asked), file=process.stdin, flush=True)
    return _Worker(job, process, core, time.monotonic(), log, logged)


def _say(job: Job, places: Places, done: int, total: int, left: float) -> None:
    # Validation rather than test accuracy, because grid searches and pilots are reported here, too.
    record = job.record(places.results)
    accuracy = f"{record['validation']['accuracy']:.4f}" if record else "?"
    print(
        f"{done:>4} of {total}  {job.name}  validation accuracy {accuracy}"
        + (f"  about {left / 60:.0f} min left" if left else ""),
        flush=True,
    )


def _say_failure(worker: _Worker) -> None:
    how = f"failed with status {worker.process.returncode}: {worker.last_line()}"
    print(f"{worker.job.name} {how}; see {worker.log}", file=sys.stderr, flush=True)


def _take_ended(workers: list[_Worker]) -> list[_Worker]:
    ended = [worker for worker in workers if worker.process.poll() is not None]
    for worker in ended:
        workers.remove(worker)
    _end(ended)  # closes their pipes
    return ended


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.end()


def _free_cores(processes: int) -> list[int | None]:
    """Assigns a core to each process; all None if there is one process, too few cores, or no way to pin."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [*cores[:processes]] if 1 < processes <= len(cores) else [None] * processes


def _mean(seconds: Sequence[float]) -> float:
    return sum(seconds) / len(seconds)


@contextmanager
def _interruptible(workers: Sequence[_Worker]) -> Iterator[list[int]]:
    """Collects stop signals; on exit, waits until all remaining workers have saved and ended."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame  # unused
        # A second signal stops workers without saving, except SIGHUP: a closing terminal may send several.
        for worker in workers if noted and number != signal.SIGHUP else ():
            worker.process.terminate()
        noted.append(number)

    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores SIGHUP
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield noted
    finally:
        _end(workers)
        for worker in workers:
            worker.process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
