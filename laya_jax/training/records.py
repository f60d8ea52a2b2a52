"""Contents of a run's JSON files, as they are checked when they are read."""

import dataclasses

from laya_jax.engine import Metrics, ParallelConfig


@dataclasses.dataclass(frozen=True)
class EnvironmentRecord:
    """The content of ``environment.json``.

    Attributes:
      python: Version of Python.
      packages: Versions of packages, by name.
      commit: Commit of this library's code, with "+" if files differ from it; None outside of a repository.
      backend: Kind of the devices, as JAX names it.
      devices: Models of the devices.
      processors: Number of processors.
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
    """A line of ``metrics.jsonl``.

    Attributes:
      epoch: Number of the epoch, from 1.
      step: Number of steps taken by its end.
      train: Loss and accuracy on the training split, during the epoch.
      validation: Metrics on the validation split, after it.
      seconds: Seconds that its steps took.
      examples_per_second: Examples trained on in a second.
    """

    epoch: int
    step: int
    train: dict[str, float]
    validation: Metrics
    seconds: float
    examples_per_second: int


@dataclasses.dataclass(frozen=True)
class Faithfulness:
    """Shares of predictions that change without a layer.

    Attributes:
      flips_without_top_layer: Share without the layer of most attention.
      flips_without_another_layer: Mean share without another one.
    """

    flips_without_top_layer: float
    flips_without_another_layer: float


@dataclasses.dataclass(frozen=True)
class Result:
    """The content of ``result.json``.

    Attributes:
      run: Path of the run when it finished.
      seed: Random seed.
      head: Kind of the head.
      epochs: Number of epochs trained.
      best_epoch: Number of the epoch whose parameters were tested.
      validation: Metrics of these on the validation split.
      test: Metrics of these on the test split.
      faithfulness: Faithfulness of the attention; None for a head that weighs no layers.
      warnings: Caveats to report with the result.
      seconds: Seconds that all steps took.
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
