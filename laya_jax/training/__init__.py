"""Training runs: run directories, checkpoints, the training loop, loading and export."""

from laya_jax.engine import (
    EXPERIMENTS,
    BackboneConfig,
    Config,
    DeviceConfig,
    Engine,
    HeadConfig,
    LossConfig,
    OptimizerConfig,
    ParallelConfig,
    TrainedModel,
)
from laya_jax.training.export import WEIGHTS, export_model, import_model
from laya_jax.training.listener import SILENT, Listener, Listeners
from laya_jax.training.loading import find_runs, load_model, predict, read_split, split_of
from laya_jax.training.loop import Interrupted
from laya_jax.training.recorder import NonFiniteLossError, faithfulness
from laya_jax.training.run_directory import CONFIG, ENVIRONMENT, RESULT, RunDirectory, check_is_new, free_path
from laya_jax.training.session import all_of, resume, start

__all__ = [
    "CONFIG",
    "ENVIRONMENT",
    "EXPERIMENTS",
    "RESULT",
    "SILENT",
    "WEIGHTS",
    "BackboneConfig",
    "Config",
    "DeviceConfig",
    "Engine",
    "HeadConfig",
    "Interrupted",
    "Listener",
    "Listeners",
    "LossConfig",
    "NonFiniteLossError",
    "OptimizerConfig",
    "ParallelConfig",
    "RunDirectory",
    "TrainedModel",
    "all_of",
    "check_is_new",
    "export_model",
    "faithfulness",
    "find_runs",
    "free_path",
    "import_model",
    "load_model",
    "predict",
    "read_split",
    "resume",
    "split_of",
    "start",
]
