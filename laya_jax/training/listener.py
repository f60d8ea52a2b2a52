"""Listeners: callbacks that follow data, training, prediction and attribution."""

from collections.abc import Sequence

from laya_jax.data import Dataset
from laya_jax.training.run_directory import RunDirectory
from laya_jax.typing import JsonObject


class Listener:
    """Progress callbacks. All methods are no-ops; override those of interest."""

    def loaded(self, dataset: Dataset) -> None:
        """Called once the data set has been read, before anything is computed."""

    def noted(self, note: str) -> None:
        """Called with a note on a choice that was made on the user's behalf."""

    def extracted(self, done: int, total: int) -> None:
        """Called as hidden states of a frozen backbone are computed: ``done`` of ``total`` examples."""

    def predicted(self, done: int, total: int) -> None:
        """Called during prediction or explanation: ``done`` of ``total`` examples."""

    def measured(self, what: str, done: int, total: int) -> None:
        """Called before ``what`` is measured, after ``done`` of ``total`` attribution measurements."""

    def started(self, run: RunDirectory) -> None:
        """Called before a run is trained or resumed; ``run.config`` has its settings."""

    def steps(self, done: int, total: int) -> None:
        """Called after every chunk: ``done`` of the ``total`` steps of this epoch."""

    def epoch(self, run: RunDirectory, line: JsonObject) -> None:
        """Called after every epoch of a run with its line of metrics."""

    def finished(self, run: RunDirectory, result: JsonObject) -> None:
        """Called with a run's result, as written to its directory."""

    def stopped(self, run: RunDirectory) -> None:
        """Called if an error or a signal ends the training of a run before it has a result."""


SILENT = Listener()


class Listeners(Listener):
    """Listener that forwards every call to several others, in order.

    Args:
      listeners: Listeners to call.
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)

    def loaded(self, dataset: Dataset) -> None:
        """Forwards the data set."""
        for listener in self._listeners:
            listener.loaded(dataset)

    def noted(self, note: str) -> None:
        """Forwards a note."""
        for listener in self._listeners:
            listener.noted(note)

    def extracted(self, done: int, total: int) -> None:
        """Forwards the progress of computing hidden states."""
        for listener in self._listeners:
            listener.extracted(done, total)

    def predicted(self, done: int, total: int) -> None:
        """Forwards the progress of prediction."""
        for listener in self._listeners:
            listener.predicted(done, total)

    def measured(self, what: str, done: int, total: int) -> None:
        """Forwards the progress of attribution."""
        for listener in self._listeners:
            listener.measured(what, done, total)

    def started(self, run: RunDirectory) -> None:
        """Forwards the start of a run."""
        for listener in self._listeners:
            listener.started(run)

    def steps(self, done: int, total: int) -> None:
        """Forwards the progress of the epoch."""
        for listener in self._listeners:
            listener.steps(done, total)

    def epoch(self, run: RunDirectory, line: JsonObject) -> None:
        """Forwards an epoch's line of metrics."""
        for listener in self._listeners:
            listener.epoch(run, line)

    def finished(self, run: RunDirectory, result: JsonObject) -> None:
        """Forwards the result of a run."""
        for listener in self._listeners:
            listener.finished(run, result)

    def stopped(self, run: RunDirectory) -> None:
        """Forwards the end of a run without a result."""
        for listener in self._listeners:
            listener.stopped(run)
