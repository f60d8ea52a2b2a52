"""Command-line arguments as dataclasses, from which tyro builds the options and their help."""

import dataclasses
from typing import Annotated, Literal

import tyro

from laya_jax.engine import Config, DeviceConfig, ParallelConfig

Flat = tyro.conf.arg(name="", prefix_name=False)
Switch = tyro.conf.FlagCreatePairsOff


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """Output format.

    Attributes:
      json: Print a single JSON object to standard output, for scripts.
    """

    json: Annotated[bool, Switch] = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Trains a classifier and tests it. The run can be killed at any time; `laya resume` continues it.

    Attributes:
      experiment: Name of a data set (digits, which is built in, fashion-mnist, cifar10 or imdb), or your own
        data as images:FOLDER, npz:FILE or texts:FILE. It sets the defaults of all options below. For a
        pretrained backbone, add --backbone vit:PATH or bert:PATH, and --freeze to train only the head.
      run_dir: Path of a new run directory. None picks an unused name in runs/.
      seeds: Random seeds, one run for each; overrides --seed.
      side_by_side: Train all seeds in one vmapped program, which is faster on accelerators. When resumed,
        each seed continues separately, with the same result up to rounding.
      baseline: Head of a second run for comparison; last_layer by default for digits.
      log: Experiment trackers to log to: one or more of tensorboard, wandb and mlflow.
      config: Training settings.
      parallel: Devices and processes to train on.
      output: Output format.
    """

    experiment: tyro.conf.Positional[str] = "digits"
    run_dir: str | None = None
    seeds: tuple[int, ...] = ()
    side_by_side: Annotated[bool, Switch] = False
    baseline: Literal["last_layer", "concat", "scalar_mix", "laya", "kernel"] | None = None
    log: tuple[str, ...] = ()
    config: Annotated[Config, Flat] = Config()
    parallel: Annotated[ParallelConfig, Flat] = ParallelConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepare:
    """Downloads a named data set and writes it where `laya train` finds it, without TensorFlow.

    Attributes:
      name: Name of the data set: fashion-mnist, cifar10 or imdb.
      directory: Path of the directory that holds all data sets. Defaults to $TFDS_DATA_DIR, then
        ~/tensorflow_datasets.
      mirror: URL of a directory on another server that has the original files under their original names.
        Defaults to $LAYA_MIRROR, which `laya train` also uses. The SHA-256 of every file is verified.
      output: Output format.
    """

    name: tyro.conf.Positional[str]
    directory: Annotated[str | None, tyro.conf.arg(name="data.directory")] = None
    mirror: str | None = None
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resume:
    """Continues a run, or all unfinished runs in a folder, from the latest checkpoint.

    Attributes:
      run: Path of a run directory, or of a folder of runs.
      log: Experiment trackers to log to: one or more of tensorboard, wandb and mlflow.
      config: Settings of the run. They cannot be changed, except that data.source, data.directory and
        backbone.path may point to a new location of the same data and weights, which is saved in the run.
      parallel: Devices and processes to train on. Defaults to the settings the run was started with, in a
        single process.
      output: Output format.
    """

    run: tyro.conf.Positional[str]
    log: tuple[str, ...] = ()
    config: Annotated[Config, Flat] = Config()
    parallel: Annotated[ParallelConfig, Flat] = ParallelConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Evaluates the best parameters of a run, or an exported model.

    Attributes:
      run: Path of a run directory or of an exported model.
      split: Split of the run's data to evaluate.
      data: Other labelled data to evaluate, given in the same form as for predict.
      parallel: Devices and processes to compute on.
      output: Output format.
    """

    run: tyro.conf.Positional[str]
    split: Literal["test", "validation", "train"] = "test"
    data: str | None = None
    parallel: Annotated[ParallelConfig, Flat] = ParallelConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Predicts classes, probabilities and attention over layers with the best parameters of a run.

    Attributes:
      run: Path of a run directory or of an exported model.
      data: Data to predict: images:FOLDER, npz:FILE (its test inputs, if it has any), texts:FILE, or the
        name of the run's data set for its test split.
      out: Path of a new .csv, .jsonl or .npz file. In .csv, names that a spreadsheet might evaluate as a
        formula (starting with =, +, -, @ or an apostrophe) get a leading apostrophe; .jsonl and .npz are
        exact.
      parallel: Devices to compute on.
      output: Output format.
    """

    run: tyro.conf.Positional[str]
    data: str
    out: str = "predictions.csv"
    parallel: Annotated[DeviceConfig, Flat] = DeviceConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explained:
    """Arguments shared by the two commands that explain models.

    Attributes:
      split: Split of the runs' data to explain.
      outliers: Out-of-distribution inputs, given in the same form as for predict, to measure how well they
        can be detected.
      random_labels: Path of a run on the same data with the same seed and --data.label-noise 1. Its attention
        after the last epoch should differ from that of the runs to explain.
      parallel: Devices to compute on.
      output: Output format.
    """

    split: Literal["test", "validation", "train"] = "test"
    outliers: str | None = None
    random_labels: str | None = None
    parallel: Annotated[DeviceConfig, Flat] = DeviceConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribute(Explained):
    """Measures a model's attention over layers and writes all numbers and figures.

    Attributes:
      runs: Paths of runs, folders of runs, or exported models. Pass several to measure the stability of
        attention.
      out: Path of a new directory. Names in its samples.csv are escaped as in predict.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    out: str = "attribution"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(Explained):
    """Writes an HTML report on which layers a model uses, for what, and how faithful its attention is.

    Attributes:
      runs: Paths of runs, folders of runs, or exported models. The first is shown in detail; pass several to
        measure the stability of attention.
      out: Path of a new .html file.
      largest_gallery: Maximum number of samples in the gallery.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    out: str = "report.html"
    largest_gallery: int = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """Exports a run's best parameters as safetensors, with everything needed for prediction.

    Attributes:
      run: Path of a run directory.
      out: Path of a new directory.
      output: Output format.
    """

    run: tyro.conf.Positional[str]
    out: str
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileCheck:
    """Compiles training ahead of time for a TPU, without needing one, and estimates the cost of a step.

    Attributes:
      experiment: Name of a data set, or your own data, as for train.
      topology: TPU chip and topology, such as v5e:2x4; known chips are v4, v5e, v5p and v6e.
      config: Training settings.
      output: Output format.
    """

    experiment: tyro.conf.Positional[str] = "digits"
    topology: str = "v5e:2x4"
    config: Annotated[Config, Flat] = Config()
    output: Annotated[Output, Flat] = Output()
