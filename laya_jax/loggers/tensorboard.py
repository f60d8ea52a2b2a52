"""Listener for TensorBoard."""

from typing import Any

import jax

from laya_jax.loggers.metrics import scalars
from laya_jax.training import Listener, RunDirectory
from laya_jax.typing import JsonObject


class TensorBoard(Listener):
    """Writes every epoch's metrics to ``tensorboard/`` in the run directory."""

    def __init__(self) -> None:
        # Imported here because only --log tensorboard needs it.
        from tensorboardX import SummaryWriter

        self._make_writer = SummaryWriter
        self._writers: dict[str, Any] = {}

    def epoch(self, run: RunDirectory, line: JsonObject) -> None:
        """Writes an epoch's metrics."""
        if jax.process_index():
            return
        folder, step = str(run.path / "tensorboard"), line["step"]
        if folder not in self._writers:
            # Hides later steps that a killed process has written.
            self._writers[folder] = self._make_writer(folder, purge_step=step)
        for name, value in scalars(line):
            self._writers[folder].add_scalar(name, value, step)
        self._writers[folder].flush()
