"""Listener for Weights & Biases."""

from pathlib import Path
from typing import Any

import jax

from laya_jax.engine import to_json
from laya_jax.loggers.metrics import identity, optional, remember, results, scalars
from laya_jax.training import Listener, RunDirectory
from laya_jax.typing import JsonObject


class WandB(Listener):
    """Logs each run's settings, its metrics after every epoch, and its result to Weights & Biases.

    The project, entity and mode are set by W&B's own environment variables, such as ``WANDB_PROJECT`` and
    ``WANDB_MODE=offline``.

    Raises:
      ModuleNotFoundError: The package wandb is missing.
    """

    def __init__(self) -> None:
        self._wandb = optional("wandb")
        self._runs: dict[Path, Any] = {}

    def started(self, run: RunDirectory) -> None:
        """Creates the run in W&B, or continues it if it is resumed."""
        if jax.process_index():
            return
        known = identity(run, "wandb")
        self._runs[run.path] = self._wandb.init(
            id=known,
            name=run.path.name,
            config=to_json(run.config),
            resume="allow" if known else None,
            reinit="create_new",  # seeds that train side by side are separate runs
        )
        remember(run, "wandb", self._runs[run.path].id)

    def epoch(self, run: RunDirectory, line: JsonObject) -> None:
        """Logs an epoch's metrics."""
        if run.path in self._runs:
            self._runs[run.path].log(dict(scalars(line)), step=line["step"])

    def finished(self, run: RunDirectory, result: JsonObject) -> None:
        """Logs the result and closes the run."""
        if run.path in self._runs:
            tracked = self._runs.pop(run.path)
            tracked.summary.update(results(result))
            tracked.finish()

    def stopped(self, run: RunDirectory) -> None:
        """Marks the run as failed; resuming continues it."""
        if run.path in self._runs:
            self._runs.pop(run.path).finish(exit_code=1)
