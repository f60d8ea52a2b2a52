"""Use of trained models: finding runs, loading models and their data, and predicting."""

from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.classifier import Classifier
from laya_jax.data import Examples, Preprocessing, Unlabelled, load
from laya_jax.engine import (
    DeviceConfig,
    Feed,
    Outputs,
    Predictor,
    TrainedModel,
    TrainState,
    checksum,
    divisible,
    initial_parameters,
    initial_state,
    make_classifier,
    make_optimizer,
    make_parallel,
    output_reader,
)
from laya_jax.inputs import check_read_alike, fingerprint, inputs_of, pretrained_of
from laya_jax.training.checkpoint import Checkpoints
from laya_jax.training.data_record import check_same_data
from laya_jax.training.export import WEIGHTS, import_model, shapes_of, tell
from laya_jax.training.listener import SILENT, Listener
from laya_jax.training.run_directory import CHECKPOINTS, CONFIG, RunDirectory

LARGEST_BATCH = 4096
"""Maximum batch size for prediction."""


def find_runs(path: str | Path) -> list[RunDirectory]:
    """Finds the run at a path, or all runs in a folder.

    Raises:
      FileNotFoundError: There is no run at the path.
      ValueError: The path is of an exported model, or a file of a run is damaged.
    """
    path = Path(path)
    if (path / WEIGHTS).exists():
        raise ValueError(f"run is {path}, an exported model, expected a run, or a folder of runs")
    # A name that starts with a dot is a run whose creation was interrupted.
    inside = sorted(child for child in path.glob("[!.]*") if _is_run(child)) if path.is_dir() else []
    if (path / CONFIG).exists() or not inside:
        return [RunDirectory.open(path)]
    return [RunDirectory.open(child) for child in inside]


def _is_run(path: Path) -> bool:
    # An exported model has a config as well.
    return (path / CONFIG).exists() and not (path / WEIGHTS).exists()


def load_model(path: str | Path, *, latest: bool = False) -> TrainedModel:
    """Loads the best parameters of a run, or an exported model, with everything needed for prediction.

    Args:
      path: Path of a run directory or of an exported model.
      latest: True to load the latest parameters instead of the best on validation, for runs where validation
        carries no information, such as those on random labels.

    Raises:
      FileNotFoundError: There is no run, or it has no checkpoint yet.
      ValueError: A file is damaged, or ``latest`` is set for an exported model, which has only the best.
    """
    path = Path(path)
    if (path / WEIGHTS).exists():
        if latest:
            raise ValueError(
                f"latest is True, expected False for {path}, an exported model, which has only the best "
                "parameters"
            )
        return import_model(path)
    run = RunDirectory.open(path)
    schema, pretrained = run.schema(), pretrained_of(run.config)
    run.check_backbone(run.config.backbone.path, pretrained and checksum(pretrained.parameters))
    known = run.backbone()
    check_read_alike(pretrained, known.sizes if known else None, run.config.backbone.path)
    classifier = make_classifier(run.config, schema, pretrained and pretrained.backbone)
    # With a frozen backbone, only the head was trained and saved.
    frozen = run.config.backbone.freeze
    optimizer = make_optimizer(run.config, total_steps=1)

    def initial() -> TrainState:
        parameters = initial_parameters(classifier, schema.preprocessing, 0)
        seed = jnp.zeros((), jnp.uint32) if classifier.head.is_random else None
        return initial_state({"head": parameters["head"]} if frozen else parameters, optimizer, seed)

    like = jax.tree.map(_without_memory, shapes_of(initial, path))
    checkpoints, scores = Checkpoints(path / CHECKPOINTS, read_only=True), run.scores()
    state, progress = checkpoints.latest(like) if latest else checkpoints.best(like, scores)
    given = {"backbone": pretrained.parameters} if pretrained and frozen else {}
    data = run.data()
    tell(run.warnings)
    return TrainedModel(
        run.config,
        schema,
        classifier,
        {**given, **state.parameters},
        data.fingerprint,
        data.version,
        (*run.warnings, *progress.get("warnings", ()), *checkpoints.warnings),
    )


def _without_memory(leaf: jax.ShapeDtypeStruct) -> NDArray:
    """Creates an array of a given shape and dtype that takes no memory, by broadcasting."""
    return np.broadcast_to(np.empty((), leaf.dtype), leaf.shape)


def split_of(model: TrainedModel, split: str) -> Examples:
    """Reads a split of a model's training data, as stored.

    Args:
      model: Model from ``load_model``.
      split: Name of the split: "train", "validation" or "test".

    Raises:
      ValueError: The data, and therefore the splits, have changed.
    """
    found = read_split(model, split)
    return Examples(found.inputs, found.labels)


def read_split(model: TrainedModel, split: str) -> Unlabelled:
    """Reads the examples of ``split_of`` with their ids in the source and the notes on the data."""
    dataset = load(model.config.data, model.schema.encoder, decode=not model.config.backbone.freeze)
    otherwise = (
        f"the data of {model.config.data.source!r} are not those that the model was trained on, so their "
        f"{split} split may contain training examples"
    )
    known = (model.config, model.fingerprint, model.data_version)
    now = fingerprint(inputs_of(model).identify(dataset))
    check_same_data(*known, now, model="the model", otherwise=otherwise)
    inputs, labels = getattr(dataset, split)
    names = tuple(str(name) for name in getattr(dataset.ids, split))
    return Unlabelled(inputs, names, labels, f"{split} split", dataset.notes)


def predict(
    model: TrainedModel,
    examples: Examples,
    parallel: DeviceConfig = DeviceConfig(),
    *,
    explain: bool = False,
    listener: Listener = SILENT,
) -> Outputs[NDArray]:
    """Computes a model's outputs for examples, in order.

    Args:
      model: Model from ``load_model``.
      examples: Examples stored as in training; their labels are ignored.
      parallel: Devices to compute on.
      explain: True to also measure the faithfulness of the attention.
      listener: Listener that receives progress callbacks.
    """
    devices, inputs = make_parallel(parallel), inputs_of(model)
    examples = inputs.convert(examples, devices, listener.extracted)
    model = inputs.trained_part(model)
    size = min(model.config.batch_size, LARGEST_BATCH)
    predictor = _predictor(model.classifier, model.schema.preprocessing, parallel, size, explain)
    placed, feed = devices.replicate(model.parameters), Feed(examples, devices)
    outputs: Outputs[NDArray] = predictor.outputs(placed, feed, listener.predicted)[0]
    return outputs


@lru_cache(maxsize=8)
def _predictor(
    classifier: Classifier,
    preprocessing: Preprocessing,
    parallel: DeviceConfig,
    batch_size: int,
    explain: bool,
) -> Predictor:
    # Cached, so that predicting again with a model does not compile again.
    devices = make_parallel(parallel)
    reader = output_reader(classifier, explain=explain)
    return Predictor(reader, preprocessing, devices, batch_size=divisible(batch_size, devices))
