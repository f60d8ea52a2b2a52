"""Metrics for TensorBoard, in addition to the JSON lines that are always written."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from laya_jax.data import Dataset
from laya_jax.training import Listener, RunDirectory


class TensorBoard(Listener):
    """Writes every epoch's metrics to ``tensorboard/`` in the run, and forwards all events.

    Attributes:
      listener: Listener to which all events are forwarded.
    """

    def __init__(self, listener: Listener) -> None:
        # Imported here because only --tensorboard needs it.
        from tensorboardX import SummaryWriter

        self.listener = listener
        self._make_writer = SummaryWriter
        self._writers: dict[str, Any] = {}

    def loaded(self, dataset: Dataset) -> None:
        """Forwards the data set."""
        self.listener.loaded(dataset)

    def extracted(self, done: int, total: int) -> None:
        """Forwards the progress of computing hidden states."""
        self.listener.extracted(done, total)

    def steps(self, done: int, total: int) -> None:
        """Forwards the progress of the epoch."""
        self.listener.steps(done, total)

    def epoch(self, run: RunDirectory, line: Mapping[str, Any]) -> None:
        """Forwards an epoch's line, and writes its metrics."""
        self.listener.epoch(run, line)
        if jax.process_index():
            return
        folder, step = str(run.path / "tensorboard"), line["step"]
        if folder not in self._writers:
            # Hides later steps that a killed process has written.
            self._writers[folder] = self._make_writer(folder, purge_step=step)
        for name, value in scalars(line):
            self._writers[folder].add_scalar(name, value, step)
        self._writers[folder].flush()


def scalars(line: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yields the names and values of all numbers in a line of metrics.

    >>> dict(scalars({"train": {"loss": 0.5}, "attention": [0.25, 0.75]}))
    {'train/loss': 0.5, 'attention/h1': 0.25, 'attention/h2': 0.75}
    """
    for name, value in line.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{name}/")
        elif isinstance(value, list):
            yield from ((f"{prefix}{name}/h{layer}", share) for layer, share in enumerate(value, 1))
        elif value is not None:
            yield f"{prefix}{name}", value
