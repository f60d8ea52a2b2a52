"""Configs, compiled steps, devices and metrics: training and prediction in memory, without files of a run."""

from laya_jax.engine.config import (
    BackboneConfig,
    Config,
    HeadConfig,
    LossConfig,
    OptimizerConfig,
    differences,
    flat,
    from_json,
    placed_as,
    to_json,
)
from laya_jax.engine.engine import Engine, PlacedState
from laya_jax.engine.feed import CHUNK, LARGEST_RESIDENT, Feed
from laya_jax.engine.heads import HEADS
from laya_jax.engine.metrics import COLLAPSE, Metrics, measure, softmax
from laya_jax.engine.model import check_reads, initial_parameters, make_classifier
from laya_jax.engine.parallel import (
    DeviceConfig,
    MeshParallel,
    Parallel,
    ParallelConfig,
    divisible,
    make_parallel,
)
from laya_jax.engine.predictor import Predictor
from laya_jax.engine.presets import EXPERIMENTS, backbone_named, config_for
from laya_jax.engine.processes import any_process, barrier, connect, cores
from laya_jax.engine.solving import Settled, Solver, caveats, make_engine, settled
from laya_jax.engine.state import TrainState, checksum, initial_state, make_optimizer
from laya_jax.engine.steps import Batch, Outputs, Reader, TrainChunk, make_train_chunk, output_reader
from laya_jax.engine.trained_model import TrainedModel
from laya_jax.engine.typed import read_record

__all__ = [
    "CHUNK",
    "COLLAPSE",
    "EXPERIMENTS",
    "HEADS",
    "LARGEST_RESIDENT",
    "BackboneConfig",
    "Batch",
    "Config",
    "DeviceConfig",
    "Engine",
    "Feed",
    "HeadConfig",
    "LossConfig",
    "MeshParallel",
    "Metrics",
    "OptimizerConfig",
    "Outputs",
    "Parallel",
    "ParallelConfig",
    "PlacedState",
    "Predictor",
    "Reader",
    "Settled",
    "Solver",
    "TrainChunk",
    "TrainState",
    "TrainedModel",
    "any_process",
    "backbone_named",
    "barrier",
    "caveats",
    "check_reads",
    "checksum",
    "config_for",
    "connect",
    "cores",
    "differences",
    "divisible",
    "flat",
    "from_json",
    "initial_parameters",
    "initial_state",
    "make_classifier",
    "make_engine",
    "make_optimizer",
    "make_parallel",
    "make_train_chunk",
    "measure",
    "output_reader",
    "placed_as",
    "read_record",
    "settled",
    "softmax",
    "to_json",
]
