"""A trained model in memory."""

from typing import NamedTuple

from laya_jax.classifier import Classifier
from laya_jax.data import VERSION, Schema
from laya_jax.engine.config import Config
from laya_jax.typing import Parameters


class TrainedModel(NamedTuple):
    """A trained classifier with its config and the schema of its data.

    Attributes:
      config: Config of the training run.
      schema: Class names, preprocessing, and encoder of texts.
      classifier: Module: ``classifier.apply({"params": parameters}, schema.preprocessing(inputs))``.
      parameters: Parameters of the classifier.
      fingerprint: Checksum of the training data; None if exported by an earlier version.
      data_version: Version of the code that read and split these data.
      warnings: Caveats to report with all predictions.
    """

    config: Config
    schema: Schema
    classifier: Classifier
    parameters: Parameters
    fingerprint: int | None = None
    data_version: int = VERSION
    warnings: tuple[str, ...] = ()
