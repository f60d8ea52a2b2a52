"""Listener for MLflow."""

import os
from collections.abc import Mapping
from pathlib import Path

import jax

from laya_jax.engine import flat, to_json
from laya_jax.loggers.metrics import identity, optional, remember, results, scalars
from laya_jax.training import Listener, RunDirectory
from laya_jax.typing import JsonObject


class MLflow(Listener):
    """Logs each run's settings, its metrics after every epoch, and its result to MLflow.

    The server and experiment are set by MLflow's own environment variables, ``MLFLOW_TRACKING_URI`` and
    ``MLFLOW_EXPERIMENT_NAME`` (default here: "laya_jax").

    Raises:
      ModuleNotFoundError: The package mlflow is missing.
    """

    def __init__(self) -> None:
        self._client = optional("mlflow").MlflowClient()
        self._runs: dict[Path, str] = {}

    def started(self, run: RunDirectory) -> None:
        """Creates the run in MLflow, or continues it if it is resumed."""
        if jax.process_index():
            return
        known = identity(run, "mlflow")
        if known is None:
            known = self._create(run)
            remember(run, "mlflow", known)
        self._client.update_run(known, status="RUNNING")
        self._runs[run.path] = known

    def epoch(self, run: RunDirectory, line: JsonObject) -> None:
        """Logs an epoch's metrics."""
        self._log(run, dict(scalars(line)), step=line["step"])

    def finished(self, run: RunDirectory, result: JsonObject) -> None:
        """Logs the result and closes the run."""
        self._log(run, results(result))
        if run.path in self._runs:
            self._client.set_terminated(self._runs.pop(run.path))

    def stopped(self, run: RunDirectory) -> None:
        """Marks the run as killed; resuming continues it."""
        if run.path in self._runs:
            self._client.set_terminated(self._runs.pop(run.path), status="KILLED")

    def _create(self, run: RunDirectory) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "laya_jax")
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        known: str = self._client.create_run(experiment, run_name=run.path.name).info.run_id
        for name, value in flat(to_json(run.config)):
            self._client.log_param(known, name, value)
        return known

    def _log(self, run: RunDirectory, metrics: Mapping[str, float], step: int = 0) -> None:
        if run.path in self._runs:
            for name, value in metrics.items():
                self._client.log_metric(self._runs[run.path], name, value, step=step)
