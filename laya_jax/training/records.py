"""Schemas of a run's JSON files, against which they are validated when read."""

import dataclasses

from laya_jax.engine import Metrics, ParallelConfig
from laya_jax.typing import JsonObject


@dataclasses.dataclass(frozen=True)
class EnvironmentRecord:
    """Content of ``environment.json``.

    Attributes:
      python: Version of Python.
      packages: Versions of packages, by name.
      commit: Git commit of this library, with "+" for uncommitted changes; None outside a repository.
      backend: JAX backend.
      devices: Models of the devices.
      processors: Number of CPU cores.
      started_on: Devices and processes that the run was started on.
    """

    python: str
    packages: dict[str, str]
    commit: str | None
    backend: str
    devices: tuple[str, ...]
    processors: int | None
    started_on: ParallelConfig = ParallelConfig()


@dataclasses.dataclass(frozen=True)
class EpochLine:
    """Line of ``metrics.jsonl``.

    Attributes:
      epoch: Number of the epoch, from 1.
      step: Number of steps taken by the end of the epoch.
      train: Loss and accuracy on the training split, averaged during the epoch.
      validation: Metrics on the validation split after the epoch.
      seconds: Duration of the training steps in seconds.
      examples_per_second: Training throughput in examples per second.
      details: Penalties that were tried for a head that is solved in closed form, and its approximation.
    """

    epoch: int
    step: int
    train: dict[str, float]
    validation: Metrics
    seconds: float
    examples_per_second: int
    details: JsonObject = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Faithfulness:
    """Fractions of predictions that flip when a layer is removed.

    Attributes:
      flips_without_top_layer: Fraction of flips without the layer of highest attention.
      flips_without_another_layer: Mean fraction of flips without any one of the other layers.
    """

    flips_without_top_layer: float
    flips_without_another_layer: float


@dataclasses.dataclass(frozen=True)
class Result:
    """Content of ``result.json``.

    Attributes:
      run: Path of the run when it finished.
      seed: Random seed.
      head: Kind of the head.
      epochs: Number of epochs trained.
      best_epoch: Number of the best epoch, whose parameters were tested.
      validation: Metrics of the best epoch on the validation split.
      test: Metrics of the best epoch on the test split.
      faithfulness: Faithfulness of the attention; None for a head without attention.
      warnings: Caveats to report with the result.
      seconds: Duration of all training steps in seconds.
    """

    run: str
    seed: int
    head: str
    epochs: int
    best_epoch: int
    validation: Metrics
    test: Metrics
    faithfulness: Faithfulness | None
    warnings: list[str]
    seconds: float
