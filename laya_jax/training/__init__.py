"""Training of classifiers: configs, compiled steps, checkpoints, runs that can be killed at any time."""

from laya_jax.training.config import (
    BackboneConfig,
    Config,
    HeadConfig,
    LossConfig,
    OptimizerConfig,
)
from laya_jax.training.engine import Engine
from laya_jax.training.experiments import EXPERIMENTS
from laya_jax.training.exported import TrainedModel, export_model, import_model
from laya_jax.training.loop import Interrupted, Listener
from laya_jax.training.parallel import DeviceConfig, ParallelConfig
from laya_jax.training.recorder import NonFiniteLossError
from laya_jax.training.run import RunDirectory
from laya_jax.training.session import resume, start
from laya_jax.training.trained import find_runs, load_model, predict, split_of

__all__ = [
    "EXPERIMENTS",
    "BackboneConfig",
    "Config",
    "DeviceConfig",
    "Engine",
    "HeadConfig",
    "Interrupted",
    "Listener",
    "LossConfig",
    "NonFiniteLossError",
    "OptimizerConfig",
    "ParallelConfig",
    "RunDirectory",
    "TrainedModel",
    "export_model",
    "find_runs",
    "import_model",
    "load_model",
    "predict",
    "resume",
    "split_of",
    "start",
]
