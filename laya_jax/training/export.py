"""Export of models: parameters as safetensors, everything else as JSON. Loading does not need Orbax."""

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from numpy.typing import NDArray

from laya_jax.engine import Config, TrainedModel, initial_parameters, make_classifier, read_record, to_json
from laya_jax.files import new_directory, write_json, writing
from laya_jax.inputs import BackboneRecord, backbone_of, sizes_of
from laya_jax.training import manifest
from laya_jax.training.data_record import read_data, read_schema, write_schema
from laya_jax.training.run_directory import BACKBONE, CONFIG, FILES, check_is_new
from laya_jax.typing import PyTree

WEIGHTS = "model.safetensors"


def export_model(model: TrainedModel, directory: str | Path) -> None:
    """Writes ``model.safetensors``, ``config.json``, ``data.json`` and the model's other files.

    These are the vocabulary or tokenizer of texts and the sizes of a pretrained backbone, whose weights are
    included in ``model.safetensors``.

    Args:
      model: Model from ``load_model``.
      directory: Path of a new directory, which is created atomically.

    Raises:
      FileExistsError: The path already exists.
      OSError: The directory cannot be written; the error names it.
    """
    from safetensors.numpy import save

    directory = Path(directory)
    check_is_new(directory, "out")
    arrays = {
        name: np.ascontiguousarray(leaf) for name, leaf in flatten_dict(model.parameters, sep="/").items()
    }
    known = {"fingerprint": model.fingerprint, "version": model.data_version, "warnings": model.warnings}
    with new_directory(directory) as draft:
        write_schema(draft, model.schema, **known)
        write_json(draft / CONFIG, to_json(model.config))
        if model.config.backbone.path is not None:
            sizes = BackboneRecord(sizes_of(model.classifier.backbone))
            write_json(draft / BACKBONE, dataclasses.asdict(sizes))
        with writing(draft / WEIGHTS, binary=True) as file:
            file.write(save(arrays))
        manifest.seal(draft)


def import_model(directory: str | Path) -> TrainedModel:
    """Loads a model that ``export_model`` wrote.

    Raises:
      FileNotFoundError: There is no exported model.
      ValueError: A file is damaged, or the parameters do not match the config; the message lists both sets of
        names.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    directory = Path(directory)
    for name in (WEIGHTS, CONFIG):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"no exported model in {directory}: it has no {name}")
    unchecked = manifest.check(directory, (*FILES, WEIGHTS))
    config, schema = read_record(Config, directory / CONFIG), read_schema(directory)
    known = read_data(directory)
    try:
        arrays = load_file(directory / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(f"{directory / WEIGHTS} cannot be read: {error}") from error
    backbone = None if config.backbone.path is None else _backbone(directory, config, len(arrays))
    classifier = make_classifier(config, schema, backbone)
    expected = shapes_of(lambda: initial_parameters(classifier, schema.preprocessing, 0), directory)
    _check_arrays(arrays, flatten_dict(expected, sep="/"), directory / WEIGHTS)
    return TrainedModel(
        config,
        schema,
        classifier,
        unflatten_dict(arrays, sep="/"),
        known.fingerprint,
        known.version,
        tell((*unchecked, *known.warnings)),
    )


def shapes_of(make: Callable[[], PyTree], directory: Path) -> PyTree:
    """Evaluates shapes abstractly, without allocating memory.

    Raises:
      ValueError: The config and the data record in the directory do not match.
    """
    try:
        return jax.eval_shape(make)
    except Exception as error:  # invalid sizes make JAX and Flax raise arbitrary exceptions
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"the files in {directory} do not describe a model: {reason}") from error


def tell(messages: tuple[str, ...]) -> tuple[str, ...]:
    """Issues caveats as warnings, and returns them."""
    for message in messages:
        warnings.warn(message, stacklevel=3)
    return messages


def _check_arrays(
    found: Mapping[str, NDArray], expected: Mapping[str, jax.ShapeDtypeStruct], path: Path
) -> None:
    missing, surplus = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or surplus:
        raise ValueError(f"{path} does not match its config: missing {missing}, unexpected {surplus}")
    for name, array in found.items():
        if array.shape != expected[name].shape:
            raise ValueError(f"{path}: {name} has shape {array.shape}, expected {expected[name].shape}")
        if array.dtype != expected[name].dtype:
            raise ValueError(f"{path}: {name} has dtype {array.dtype}, expected {expected[name].dtype}")


def _backbone(directory: Path, config: Config, arrays: int) -> nn.Module:
    path = directory / BACKBONE
    sizes = read_record(BackboneRecord, path).sizes
    try:
        backbone: Any = backbone_of(config, sizes)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if backbone.depth > arrays:
        raise ValueError(f"{path}: depth is {backbone.depth}, but there are only {arrays} arrays of weights")
    return backbone
