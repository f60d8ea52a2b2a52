"""What can be said on the command line, as dataclasses: tyro makes options and help of their fields."""

import argparse
import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import tyro

from laya_jax.cli.switches import with_values
from laya_jax.training.config import Config
from laya_jax.training.experiments import backbone_named
from laya_jax.training.parallel import DeviceConfig, ParallelConfig

T = TypeVar("T")

Flat = tyro.conf.arg(name="", prefix_name=False)
Switch = tyro.conf.FlagCreatePairsOff


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """What is printed.

    Attributes:
      json: prints one JSON object on standard output, for scripts, and nothing else there.
    """

    json: Annotated[bool, Switch] = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Trains a classifier and tests it. The run can be killed at any time: `laya resume` goes on with it.

    Attributes:
      experiment: digits (embedded, the default), fashion-mnist, cifar10 or imdb; or data of your own:
        images:FOLDER, npz:FILE, texts:FILE. It gives every option below its default. With a pretrained
        backbone: --backbone vit:PATH or bert:PATH, and --freeze to train the head alone.
      run_dir: directory to write to, a new one; None takes a free name in runs/.
      seeds: trains one run per seed instead of the one of --seed.
      side_by_side: trains all seeds in one program, which pays on accelerators; resumed, each goes on
        alone, and ends the same but for rounding.
      baseline: trains a second run with this head, to compare with; digits does so with last_layer.
      tensorboard: writes the metrics for TensorBoard, too.
      config: what is trained.
      parallel: on what.
      output: what is printed.
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
      directory: Path of the directory of all data sets. Defaults to $TFDS_DATA_DIR, or else
        ~/tensorflow_datasets.
      mirror: Address of a folder on another server that has the original files under their own names.
        Defaults to $LAYA_MIRROR, which `laya train` heeds, too. Every file is checked by its SHA-256.
      output: what is printed.
    """

    name: tyro.conf.Positional[str]
    directory: Annotated[str | None, tyro.conf.arg(name="data.directory")] = None
    mirror: str | None = None
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resume:
    """Goes on with a run, or with all unfinished runs of a folder, from the latest checkpoint.

    Attributes:
      run: directory of the run.
      tensorboard: writes the metrics for TensorBoard, too.
      config: of the run; it cannot be changed, but data.source, data.directory and backbone.path may tell
        where the same data and weights are now, and the run remembers it.
      parallel: on what to train; what it was started on if that is not said, in one process.
      output: what is printed.
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
      run: directory of the run or of the exported model.
      split: of the run's data.
      data: other data to test on, as for predict; they need labels.
      parallel: on what to compute.
      output: what is printed.
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
      run: directory of the run or of the exported model.
      data: images:FOLDER, npz:FILE (its test inputs, if it has some), texts:FILE, or the name of a data set,
        whose test split is taken.
      out: file to write, .csv, .jsonl or .npz; a new one.
      parallel: on what to compute.
      output: what is printed.
    """

    run: tyro.conf.Positional[str]
    data: str
    out: str = "predictions.csv"
    parallel: Annotated[DeviceConfig, Flat] = DeviceConfig()
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explained:
    """What is explained.

    Attributes:
      split: of the runs' data.
      outliers: inputs of another kind, as for predict, to measure whether they can be told from the data.
      random_labels: directory of a run on the same data, of the same seed, with --data.label-noise 1, whose
        attention after its last epoch has to be another one.
      parallel: on what to compute.
      output: what is printed.
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
      runs: directories of runs, folders of them, or exported models; several tell how stable attention is.
      out: directory to write, a new one.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    out: str = "attribution"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(Explained):
    """Writes one HTML file that shows which layers a model uses, for what, and how far to trust that.

    Attributes:
      runs: directories of runs, folders of them, or exported models; the first is shown in detail, several
        tell how stable attention is.
      out: file to write, .html; a new one.
      largest_gallery: samples that can be browsed, at most.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    out: str = "report.html"
    largest_gallery: int = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """Writes a run's best parameters as safetensors, with all that is needed to predict with them.

    Attributes:
      run: directory of the run.
      out: directory to write, a new one.
      output: what is printed.
    """

    run: tyro.conf.Positional[str]
    out: str
    output: Annotated[Output, Flat] = Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileCheck:
    """Compiles the training of an experiment for a TPU that is not there, and says what a step costs on it.

    Attributes:
      experiment: as for train.
      topology: chip and shape of the TPU, as v5e:2x4; v4, v5e, v5p and v6e are known.
      config: what would be trained.
      output: what is printed.
    """

    experiment: tyro.conf.Positional[str] = "digits"
    topology: str = "v5e:2x4"
    config: Annotated[Config, Flat] = Config()
    output: Annotated[Output, Flat] = Output()


class Backbone(NamedTuple):
    """What is said of a pretrained backbone.

    Attributes:
      pretrained: kind and path, as vit:PATH or bert:PATH; None for one that starts at random.
      freeze: whether its weights stay as they are.
    """

    pretrained: str | None
    freeze: bool


def without_backbone(arguments: Sequence[str]) -> tuple[list[str], Backbone]:
    """The other arguments, and what ``--backbone`` and ``--freeze`` say: the defaults depend on it.

    >>> without_backbone(["digits", "--backbone", "vit:models/s14", "--freeze", "--seed", "3"])
    (['digits', '--seed', '3'], Backbone(pretrained='vit:models/s14', freeze=True))

    Raises:
      ValueError: a backbone that is neither vit:PATH nor bert:PATH.
    """
    short = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    short.add_argument("--backbone", nargs="?", const="")
    short.add_argument("--freeze", action="store_true")
    known, rest = short.parse_known_args(list(arguments))
    if known.backbone is not None:
        backbone_named(known.backbone)
    elif known.freeze:
        raise ValueError("freeze is given without --backbone, expected vit:PATH or bert:PATH with it")
    return rest, Backbone(known.backbone, known.freeze)


def parse(kind: type[T], arguments: Sequence[str], *, program: str, default: Any = None) -> T:
    """Reads a command's arguments.

    Raises:
      ValueError: one of them is wrong; in one line, with the option that was probably meant.
    """
    errors = io.StringIO()
    options: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(kind, prog=program, args=with_values(arguments), **options)
    except SystemExit as stopped:
        if not stopped.code:
            raise
        raise ValueError(summary(errors.getvalue())) from None


def summary(boxes: str) -> str:
    """What tyro's error box says, in one line.

    >>> summary('''
    ... ╭─ Unrecognized options ─╮
    ... │ Unrecognized options:  │
    ... │ --sed                  │
    ... │ ────────────────────── │
    ... │ Perhaps you meant:     │
    ... │     --seed INT         │
    ... │         of the run.    │
    ... ╰────────────────────────╯''')
    'Unrecognized options: --sed; perhaps you meant --seed'
    """
    lines = [line.strip("│ ") for line in boxes.splitlines() if line.startswith("│")]
    end = next((i for i, line in enumerate(lines) if line.startswith("──")), len(lines))
    message = " ".join(lines[:end])
    meant = re.search(r"Perhaps you meant:\s*(--\S+)", " ".join(lines))
    return message + (f"; perhaps you meant {meant[1]}" if meant else "")
