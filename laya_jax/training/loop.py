"""Training loop: epochs of compiled chunks, evaluation, checkpoints, early stopping and interruption."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from laya_jax.engine import Engine, PlacedState, TrainState, any_process, measure
from laya_jax.training.listener import Listener
from laya_jax.training.recorder import NonFiniteLossError, Recorder, recording
from laya_jax.training.run_directory import RunDirectory
from laya_jax.typing import JsonObject

SAVE_EVERY = 300.0
"""Seconds between checkpoints within a long epoch."""


class Interrupted(Exception):  # noqa: N818  not an error: the run is saved and can be resumed
    """Raised after training has stopped on a signal and saved a checkpoint."""

    def __init__(self, signal_number: int, path: Path) -> None:
        name = signal.Signals(signal_number).name
        super().__init__(f"interrupted by {name} and saved; to continue: laya resume {path}")
        self.signal_number = signal_number


class Interruption:
    """Records a stop signal."""

    signal_number: int | None = None

    def note(self, signal_number: int, frame: FrameType | None) -> None:
        """Handles a signal. A second signal of the same kind takes its default action."""
        del frame  # unused
        self.signal_number = signal_number
        signal.signal(signal_number, signal.SIG_DFL)


def train(engine: Engine, runs: Sequence[RunDirectory], listener: Listener) -> list[JsonObject]:
    """Trains the engine's seeds to completion, each in its run directory, resuming from any checkpoints.

    Args:
      engine: Engine with the compiled functions and the data.
      runs: Run directory of each of the engine's seeds. All of them must be at the same step.
      listener: Listener that receives progress callbacks.

    Returns:
      The result of each run, as written to its directory.

    Raises:
      Interrupted: SIGTERM or SIGINT was received; checkpoints have been saved.
      NonFiniteLossError: A loss is not finite; the last good checkpoint is kept, and the other seeds have
        been trained to completion.
    """
    with ExitStack() as stack:
        recorders = [stack.enter_context(recording(run, engine.steps_per_epoch)) for run in runs]
        stack.enter_context(_announced(runs, listener))
        initial = engine.initial()
        with interruptible() as interruption:
            states = [recorder.resume(state) for recorder, state in zip(recorders, initial, strict=True)]
            _run(engine, recorders, states, listener, interruption)
        errors = [str(recorder.error) for recorder in recorders if recorder.error is not None]
        results = [] if len(errors) == len(recorders) else _finish(engine, recorders, initial, listener)
        if errors:
            raise NonFiniteLossError("; ".join(errors))
        return results


@contextmanager
def _announced(runs: Sequence[RunDirectory], listener: Listener) -> Iterator[None]:
    """Tells a listener that runs start, and which of them have stopped without a result."""
    for run in runs:
        listener.started(run)
    try:
        yield
    finally:
        for run in runs:
            if run.result() is None:
                listener.stopped(run)


def _finish(
    engine: Engine, recorders: Sequence[Recorder], initial: Sequence[TrainState], listener: Listener
) -> list[JsonObject]:
    """Tests the best parameters of the runs that completed."""
    best = [
        state if recorder.error else recorder.best(state)
        for recorder, state in zip(recorders, initial, strict=True)
    ]
    outputs = engine.outputs(engine.place(best), "test", explain=True)
    labels = engine.dataset.test.labels
    results = []
    for recorder, output in zip(recorders, outputs, strict=True):
        if recorder.error is None:
            metrics = measure(output.logits, output.attention, labels)
            results.append(recorder.finish(metrics, output.flips))
            listener.finished(recorder.run, results[-1])
    return results


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Records SIGTERM and SIGINT instead of terminating; has no effect outside the main thread."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, interruption.note) for number in signals]
    try:
        yield interruption
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _run(
    engine: Engine,
    recorders: Sequence[Recorder],
    states: Sequence[TrainState],
    listener: Listener,
    interruption: Interruption,
) -> None:
    """Trains until every recorder has finished. Seeds that finish early are still computed, not recorded."""
    steps = [int(state.step) for state in states]
    if len(set(steps)) > 1:
        raise ValueError(f"the runs are at steps {steps}, expected the same step to train side by side")
    placed, step = engine.place(states), steps[0]
    while active := [index for index, recorder in enumerate(recorders) if not recorder.finished]:
        placed, step = _rest_of_epoch(engine, recorders, active, placed, step, listener, interruption)
        outputs, states = engine.outputs(placed, "validation"), engine.fetch(placed)
        for index in [index for index in active if recorders[index].error is None]:
            output = outputs[index]
            metrics = measure(output.logits, output.attention, engine.dataset.validation.labels)
            line = recorders[index].end_epoch(metrics, states[index], engine.details)
            if line is not None:
                listener.epoch(recorders[index].run, line)
        if any_process(interruption.signal_number is not None):
            raise _interrupted(interruption, recorders)


def _interrupted(interruption: Interruption, recorders: Sequence[Recorder]) -> Interrupted:
    path = recorders[0].run.path
    folder = path if len(recorders) == 1 else path.parent
    return Interrupted(interruption.signal_number or signal.SIGTERM, folder)


def _rest_of_epoch(
    engine: Engine,
    recorders: Sequence[Recorder],
    active: Sequence[int],
    placed: PlacedState,
    step: int,
    listener: Listener,
    interruption: Interruption,
) -> tuple[PlacedState, int]:
    total = engine.steps_per_epoch
    left = total - step % total
    saved = start = time.monotonic()
    for state, metrics in engine.train(placed, step, left):
        placed, now = state, time.monotonic()
        for index in active:
            recorders[index].add(*(part[index] for part in metrics), step=step, seconds=now - start)
        start = now
        step += metrics.loss.shape[1]
        listener.steps(step % total or total, total)
        going_on = [index for index in active if recorders[index].error is None]
        if step % total == 0 or not going_on:
            break
        interrupted = any_process(interruption.signal_number is not None)
        if interrupted or any_process(now - saved > SAVE_EVERY):
            for index, state in enumerate(engine.fetch(placed)):
                if index in going_on:
                    recorders[index].save(state)
            saved = now
        if interrupted:
            raise _interrupted(interruption, recorders)
    return placed, step
