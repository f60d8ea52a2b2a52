"""Experiment trackers as listeners, in addition to the ``metrics.jsonl`` of every run."""

from collections.abc import Mapping

from laya_jax.loggers.metrics import scalars
from laya_jax.loggers.mlflow import MLflow
from laya_jax.loggers.tensorboard import TensorBoard
from laya_jax.loggers.wandb import WandB
from laya_jax.training import Listener

__all__ = ["LOGGERS", "MLflow", "TensorBoard", "WandB", "scalars"]

LOGGERS: Mapping[str, type[Listener]] = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
"""Trackers by the names that ``--log`` accepts."""
