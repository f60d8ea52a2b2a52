"""Models that leave a run: parameters as safetensors, the rest as JSON. Loading them needs no Orbax."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from laya_jax.classifier import Classifier
from laya_jax.data import Schema
from laya_jax.files import read_json, write_json
from laya_jax.training.config import Config, from_json, to_json
from laya_jax.training.model import initial_parameters, make_classifier
from laya_jax.training.pretrained import backbone_of, sizes_of
from laya_jax.training.run import BACKBONE, CONFIG, DATA, check_is_new, read_schema, write_schema
from laya_jax.typing import Parameters

WEIGHTS = "model.safetensors"


class TrainedModel(NamedTuple):
    """A trained classifier with what it knows of its data.

    Attributes:
      config: what it was trained with.
      schema: class names, preprocessing, encoder of texts.
      classifier: the module: ``classifier.apply({"params": parameters}, schema.preprocessing(inputs))``.
      parameters: of the classifier.
      fingerprint: of the data that it was trained on; None if it was exported before that was written.
    """

    config: Config
    schema: Schema
    classifier: Classifier
    parameters: Parameters
    fingerprint: int | None = None


def export_model(model: TrainedModel, directory: str | Path) -> None:
    """Writes ``model.safetensors``, ``config.json``, ``data.json`` and what else the model needs.

    Texts need their vocabulary or tokenizer, a pretrained backbone its sizes; its weights come along.

    Args:
      model: from ``load_model``.
      directory: a new one.

    Raises:
      FileExistsError: there is something already.
    """
    from safetensors.numpy import save_file

    directory = Path(directory)
    check_is_new(directory, "out")
    directory.mkdir(parents=True)
    arrays = {
        name: np.ascontiguousarray(leaf) for name, leaf in flatten_dict(model.parameters, sep="/").items()
    }
    write_schema(directory, model.schema, fingerprint=model.fingerprint)
    write_json(directory / CONFIG, to_json(model.config))
    if model.config.backbone.path is not None:
        write_json(directory / BACKBONE, {"sizes": sizes_of(model.classifier.backbone)})
    save_file(arrays, directory / WEIGHTS)


def import_model(directory: str | Path) -> TrainedModel:
    """Loads what ``export_model`` wrote.

    Raises:
      FileNotFoundError: there is no exported model.
      ValueError: its parameters are not those of its config; both sets of names are told.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    directory = Path(directory)
    for name in (WEIGHTS, CONFIG):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"no exported model in {directory}: it has no {name}")
    config, schema = from_json(Config, read_json(directory / CONFIG)), read_schema(directory)
    backbone = None
    if config.backbone.path is not None:
        backbone = backbone_of(config, read_json(directory / BACKBONE)["sizes"])
    classifier = make_classifier(config, schema, backbone)
    try:
        arrays = load_file(directory / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(f"{directory / WEIGHTS} cannot be read: {error}") from error
    expected = jax.eval_shape(lambda: initial_parameters(classifier, schema.preprocessing, 0))
    _check_arrays(arrays, flatten_dict(expected, sep="/"), directory / WEIGHTS)
    fingerprint = read_json(directory / DATA).get("fingerprint")
    return TrainedModel(config, schema, classifier, unflatten_dict(arrays, sep="/"), fingerprint)


def _check_arrays(found: dict[str, Any], expected: dict[str, Any], path: Path) -> None:
    missing, surplus = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or surplus:
        raise ValueError(f"{path} does not fit its config: missing {missing}, not expected {surplus}")
    for name, array in found.items():
        if array.shape != expected[name].shape:
            raise ValueError(f"{path}: {name} has shape {array.shape}, expected {expected[name].shape}")
