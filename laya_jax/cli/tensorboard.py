"""Metrics for TensorBoard, beside the JSON lines that are always written."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from laya_jax.data import Dataset
from laya_jax.training import Listener, RunDirectory


class TensorBoard(Listener):
    """Passes on what it hears, and writes every epoch's numbers to ``tensorboard/`` in the run.

    Attributes:
      listener: hears everything, too.
    """

    def __init__(self, listener: Listener) -> None:
        # Only who asks for it needs it.
        from tensorboardX import SummaryWriter

        self.listener = listener
        self._make_writer = SummaryWriter
        self._writers: dict[str, Any] = {}

    def loaded(self, dataset: Dataset) -> None:
        """Passes on that the data set has been read."""
        self.listener.loaded(dataset)

    def extracted(self, done: int, total: int) -> None:
        """Passes on how many hidden states are computed."""
        self.listener.extracted(done, total)

    def steps(self, done: int, total: int) -> None:
        """Passes on how far the epoch is."""
        self.listener.steps(done, total)

    def epoch(self, run: RunDirectory, line: Mapping[str, Any]) -> None:
        """Passes on an epoch's line, and writes its numbers."""
        self.listener.epoch(run, line)
        if jax.process_index():
            return
        folder, step = str(run.path / "tensorboard"), line["step"]
        if folder not in self._writers:
            # What a killed process wrote of later steps is not shown.
            self._writers[folder] = self._make_writer(folder, purge_step=step)
        for name, value in scalars(line):
            self._writers[folder].add_scalar(name, value, step)
        self._writers[folder].flush()


def scalars(line: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a line of the metrics, by name.

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
