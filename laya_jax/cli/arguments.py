"""Arguments of the commands, as dataclasses: tyro makes options and help of their fields."""

import dataclasses
from typing import Annotated, Literal

import tyro

from laya_jax.engine import Config, DeviceConfig, ParallelConfig

Flat = tyro.conf.arg(name="", prefix_name=False)
Switch = tyro.conf.FlagCreatePairsOff


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """Form of the output.

    Attributes:
      json: Print one JSON object on standard output, for scripts, and nothing else there.
    """

    json: Annotated[bool, Switch] = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Trains a classifier and tests it. The run can be killed at any time: `laya resume` continues it.

    Attributes:
      experiment: Name of a data set, digits (embedded, the default), fashion-mnist, cifar10 or imdb, or your
        own data as images:FOLDER, npz:FILE or texts:FILE. It decides on the defaults of all options below.
        For a pretrained backbone, add --backbone vit:PATH or bert:PATH, and --freeze to train the head alone.
      run_dir: Path of a new directory for the run. None picks a free name in runs/.
      seeds: Random seeds of several runs, which replace --seed.
      side_by_side: Train all seeds in one program, which pays on accelerators. If resumed, each seed
        continues alone and ends the same up to rounding.
      baseline: Head of a second run to compare with; digits has last_layer by default.
      tensorboard: Write the metrics for TensorBoard as well.
      config: Settings of the training.
      parallel: Devices and processes to train on.
      output: Form of the output.
    """

    experiment: tyro.conf.Positional[str] = "digits"
    run_dir: str | None = None
    seeds: tuple[int, ...] = ()
    side_by_side: Annotated[bool, Switch] = False
    baseline: Literal["last_layer", "concat", "scalar_mix", "laya"] | None = None
    tensorboard: Annotated[bool, Switch] = False
    config: Annotated[Config, Flat] = Config()
    parallel: Annotated[ParallelConfig, Flat] = ParallelConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepare:
    """Downloads a named data set and writes it where `laya train` finds it. No TensorFlow is needed.

    Attributes:
      name: Name of the data set: fashion-mnist, cifar10 or imdb.
      directory: Path of the directory of all data sets. Defaults to $TFDS_DATA_DIR, or without it to
        ~/tensorflow_datasets.
      mirror: Address of a folder on another server that has the original files under their own names.
        Defaults to $LAYA_MIRROR, which `laya train` heeds, too. Every file is checked by its SHA-256.
      output: Form of the output.
    """

    name: tyro.conf.Positional[str]
    directory: Annotated[str | None, tyro.conf.arg(name="data.directory")] = None
    mirror: str | None = None
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resume:
    """Continues a run, or all unfinished runs in a folder, from the latest checkpoint.

    Attributes:
      run: Path of the run's directory, or of a folder of runs.
      tensorboard: Write the metrics for TensorBoard as well.
      config: Settings of the run. They cannot be changed, but data.source, data.directory and backbone.path
        may say where the same data and weights are now, which the run remembers.
      parallel: Devices and processes to train on. By default those that the run was started with, in one
        process.
      output: Form of the output.
    """

    run: tyro.conf.Positional[str]
    tensorboard: Annotated[bool, Switch] = False
    config: Annotated[Config, Flat] = Config()
    parallel: Annotated[ParallelConfig, Flat] = ParallelConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Tests the best parameters of a run, or an exported model.

    Attributes:
      run: Path of the directory of a run or of an exported model.
      split: Split of the run's data to evaluate.
      data: Other data to evaluate, as for predict. They need labels.
      parallel: Devices and processes to compute on.
      output: Form of the output.
    """

    run: tyro.conf.Positional[str]
    split: Literal["test", "validation", "train"] = "test"
    data: str | None = None
    parallel: Annotated[ParallelConfig, Flat] = ParallelConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Predicts classes, probabilities and attention over layers, with the best parameters of a run.

    Attributes:
      run: Path of the directory of a run or of an exported model.
      data: Data to predict: images:FOLDER, npz:FILE (its test inputs, if it has some), texts:FILE, or the
        name of the run's data set, for its test split.
      out: Path of a new file, .csv, .jsonl or .npz. In .csv, names that a spreadsheet would run as a formula
        (=, +, -, @ or an apostrophe first) have an apostrophe before them; .jsonl and .npz are exact.
      parallel: Devices to compute on.
      output: Form of the output.
    """

    run: tyro.conf.Positional[str]
    data: str
    out: str = "predictions.csv"
    parallel: Annotated[DeviceConfig, Flat] = DeviceConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explained:
    """Arguments of both commands that explain models.

    Attributes:
      split: Split of the runs' data to explain.
      outliers: Inputs of another kind, as for predict, to measure whether they can be told from the data.
      random_labels: Path of a run on the same data with the same seed and --data.label-noise 1. Its attention
        after the last epoch should be unlike that of the runs.
      parallel: Devices to compute on.
      output: Form of the output.
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
      runs: Paths of runs, folders of runs, or exported models. Several show how stable attention is.
      out: Path of a new directory. Its samples.csv treats names as predict does.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    out: str = "attribution"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(Explained):
    """Writes one HTML file that shows which layers a model uses, for what, and how far to trust that.

    Attributes:
      runs: Paths of runs, folders of runs, or exported models. The first is shown in detail, and several show
        how stable attention is.
      out: Path of a new .html file.
      largest_gallery: Maximum number of samples that can be browsed.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    out: str = "report.html"
    largest_gallery: int = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """Writes a run's best parameters as safetensors, with everything that predicting needs.

    Attributes:
      run: Path of the run's directory.
      out: Path of a new directory.
      output: Form of the output.
    """

    run: tyro.conf.Positional[str]
    out: str
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileCheck:
    """Compiles a training for a TPU, without one, and estimates the cost of a step there.

    Attributes:
      experiment: Name of a data set, or your own data, as for train.
      topology: Chip and shape of the TPU, such as v5e:2x4; known chips are v4, v5e, v5p and v6e.
      config: Settings of the training.
      output: Form of the output.
    """

    experiment: tyro.conf.Positional[str] = "digits"
    topology: str = "v5e:2x4"
    config: Annotated[Config, Flat] = Config()
    output: Annotated[Output, Flat] = Output()
