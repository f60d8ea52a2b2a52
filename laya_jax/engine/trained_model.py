"""A trained model in memory."""

from typing import NamedTuple

from laya_jax.classifier import Classifier
from laya_jax.data import VERSION, Schema
from laya_jax.engine.config import Config
from laya_jax.typing import Parameters


class TrainedModel(NamedTuple):
    """A trained classifier with what it knows of its data.

    Attributes:
      config: Config that it was trained with.
      schema: Class names, preprocessing, and encoder of texts.
      classifier: Module: ``classifier.apply({"params": parameters}, schema.preprocessing(inputs))``.
      parameters: Parameters of the classifier.
      fingerprint: Checksum of the data that it was trained on; None if an earlier version exported it.
      data_version: Version of how these data were read and split.
      warnings: Caveats to report with everything that it predicts.
    """

    config: Config
    schema: Schema
    classifier: Classifier
    parameters: Parameters
    fingerprint: int | None = None
    data_version: int = VERSION
    warnings: tuple[str, ...] = ()
