"""Run directory: config, environment, data record, metrics, checkpoints and result.

manifest.json      checksums of all files except checkpoints/, which have their own
config.json        every field of the config
environment.json   versions, git commit, backend, devices
data.json          class names, examples per class, preprocessing, fingerprint, notes of the reader
vocabulary.txt     or tokenizer.json, for texts
backbone.json      sizes of a pretrained backbone, and a checksum of its weights
metrics.jsonl      one JSON object per line, for every epoch
checkpoints/       the latest two and the best
result.json        metrics of the best epoch's parameters on the test split; written last
tensorboard/       the metrics for TensorBoard, if requested
trackers.json      identities of the run in W&B and MLflow, if requested
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jax

from laya_jax.data import VERSION, Schema
from laya_jax.engine import (
    Config,
    ParallelConfig,
    caveats,
    differences,
    from_json,
    placed_as,
    read_record,
    to_json,
)
from laya_jax.files import locked, new_directory, write_json
from laya_jax.inputs import BackboneRecord
from laya_jax.training import manifest
from laya_jax.training.data_record import (
    DATA,
    ENCODERS,
    DataRecord,
    check_same_data,
    read_data,
    read_schema,
    write_schema,
)
from laya_jax.training.environment import environment
from laya_jax.training.records import EnvironmentRecord, EpochLine, Result
from laya_jax.typing import JsonObject

CONFIG, ENVIRONMENT, BACKBONE = "config.json", "environment.json", "backbone.json"
METRICS, RESULT, CHECKPOINTS, LOCK = "metrics.jsonl", "result.json", "checkpoints", ".lock"

FILES = (CONFIG, ENVIRONMENT, DATA, *(kind.FILE for kind in ENCODERS), BACKBONE, RESULT)
"""Files that are read if they exist."""


class RunDirectory:
    """Directory of one run.

    Attributes:
      path: Path of the directory. It may be a link, but nothing inside it may.
      config: Config of the run.
      warnings: Caveats to report with all data read from the run.

    >>> RunDirectory.open("no-such-run")
    Traceback (most recent call last):
      ...
    FileNotFoundError: no run in no-such-run: it has no config.json
    """

    def __init__(self, path: Path, config: Config, warnings: tuple[str, ...] = ()) -> None:
        self.path = path
        self.config = config
        self.warnings = (*warnings, *caveats(config))

    @classmethod
    def create(
        cls,
        path: str | Path,
        config: Config,
        schema: Schema,
        fingerprint: int,
        backbone: BackboneRecord | None = None,
        parallel: ParallelConfig = ParallelConfig(),
        **known: object,
    ) -> "RunDirectory":
        """Creates the directory of a new run atomically.

        Args:
          path: Path of the directory.
          config: Config of the run.
          schema: Schema of the data.
          fingerprint: Checksum of the data.
          backbone: Sizes and checksum of a pretrained backbone.
          parallel: Devices and processes that the run starts on.
          known: Further fields of ``DataRecord``.

        Raises:
          FileExistsError: The path already exists.
        """
        path = Path(path)
        check_is_new(path)
        try:
            with new_directory(path) as draft:
                write_json(draft / CONFIG, to_json(config))
                write_json(draft / ENVIRONMENT, dataclasses.asdict(environment(parallel)))
                write_schema(draft, schema, fingerprint=fingerprint, version=VERSION, **known)
                if backbone is not None:
                    write_json(draft / BACKBONE, dataclasses.asdict(backbone))
                manifest.seal(draft)
        except FileExistsError:
            check_is_new(path)  # another process has created it in the meantime
            raise
        return cls(path, config)

    @classmethod
    def open(cls, path: str | Path) -> "RunDirectory":
        """Opens the directory of a run after verifying its files.

        Raises:
          FileNotFoundError: There is no run.
          ValueError: A file is damaged or a link, or the path is not on a local file system.
        """
        path = Path(path)
        _check_on_disk(path, "run")
        if not (path / CONFIG).is_file():
            raise FileNotFoundError(f"no run in {path}: it has no {CONFIG}")
        warnings = manifest.check(path, FILES, optional=(RESULT,))
        return cls(path, read_record(Config, path / CONFIG), warnings)

    def schema(self) -> Schema:
        """Reads the schema of the run's data."""
        return read_schema(self.path)

    def data(self) -> DataRecord:
        """Reads the record of the data that the run was started with."""
        return read_data(self.path)

    def fingerprint(self) -> int | None:
        """Reads the fingerprint of the data that the run was started with."""
        return self.data().fingerprint

    def started_on(self) -> ParallelConfig:
        """Reads the devices that the run was started on, without the process layout."""
        started = read_record(EnvironmentRecord, self.path / ENVIRONMENT).started_on
        return dataclasses.replace(started, coordinator=None, processes=None, process=None)

    def backbone(self) -> BackboneRecord | None:
        """Reads the record of the run's pretrained backbone; None if it has none."""
        path = self.path / BACKBONE
        return read_record(BackboneRecord, path) if path.exists() else None

    def check_config(self, config: Config) -> None:
        """Checks that the run was started with this config, except for the paths of data and weights."""
        changes = differences(self.config, placed_as(config, self.config))
        if changes:
            raise ValueError(
                f"the config differs from that of the run in {self.path}: {'; '.join(changes)}; "
                "to use it, start a new run"
            )

    def check_backbone(self, path: str | None, weights: int | None) -> None:
        """Checks that the weights at this path have the checksum of those that the run was started with."""
        known = self.backbone()
        if known is not None and known.weights != weights:
            raise ValueError(
                f"the weights in {path} are not those that the run in {self.path} was started with"
            )

    def check_data(self, fingerprint: int, config: Config) -> None:
        """Checks that the data of a config have the fingerprint of those that the run was started with."""
        known, run = self.data(), f"the run in {self.path}"
        otherwise = f"the data of {config.data.source!r} are not those that {run} was started with"
        check_same_data(config, known.fingerprint, known.version, fingerprint, model=run, otherwise=otherwise)

    def move(self, config: Config) -> None:
        """Saves the new paths of data and weights, after they have been verified."""
        self.config = config
        if jax.process_index() == 0:
            with self.lock():
                manifest.write(self.path, CONFIG, to_json(config))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Locks the directory against training by other processes of this machine.

        The lock is released when this process exits, however it exits.

        Raises:
          FileExistsError: Another process is training in the directory.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path / LOCK, wait=False))
            except BlockingIOError:
                raise FileExistsError(f"another process is training the run in {self.path}") from None
            yield

    def log(self, line: JsonObject) -> None:
        """Appends a line to the metrics, and syncs it to disk."""
        manifest.grow(self.path, METRICS, json.dumps(line) + "\n")

    def lines(self) -> Iterator[JsonObject]:
        """Reads the lines of the metrics, without an incompletely written last line.

        Raises:
          ValueError: A line is damaged.
        """
        for number, line in enumerate(manifest.read_growing(self.path, METRICS).splitlines(), 1):
            try:
                yield dataclasses.asdict(from_json(EpochLine, json.loads(line)))
            except (ValueError, RecursionError) as error:
                reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
                raise ValueError(f"{self.path / METRICS}, line {number}: {reason}") from error

    def scores(self) -> dict[int, float]:
        """Reads the validation accuracies, by step."""
        return {line["step"]: line["validation"]["accuracy"] for line in self.lines()}

    def forget_after(self, step: int) -> None:
        """Removes the lines of later steps, which a resumed run will write again."""
        content = manifest.read_growing(self.path, METRICS)
        kept = sum(line["step"] <= step for line in self.lines())
        length = sum(map(len, content.splitlines(keepends=True)[:kept]))
        manifest.shrink(self.path, METRICS, length)

    def result(self) -> JsonObject | None:
        """Reads the result of a finished run; None if it has not finished."""
        path = self.path / RESULT
        return dataclasses.asdict(read_record(Result, path)) if path.exists() else None

    def finish(self, result: Result) -> None:
        """Writes the result."""
        manifest.write(self.path, RESULT, dataclasses.asdict(result))


def check_is_new(path: Path, name: str = "run_dir") -> None:
    """Checks that a new file or folder can be created at this path; ``name`` is the argument's name.

    >>> check_is_new(Path("gs://bucket/run"))
    Traceback (most recent call last):
      ...
    ValueError: run_dir is gs://bucket/run, expected a local path, which gs:// is not

    Raises:
      FileExistsError: The path already exists.
      ValueError: The path is not on a local file system.
    """
    _check_on_disk(path, name)
    if path.exists():
        hint = f" ('laya resume {path}' continues it)" if (path / CONFIG).exists() else ""
        raise FileExistsError(f"{name} is {path}, which already exists{hint}, expected a new path")


def _check_on_disk(path: Path, name: str) -> None:
    """Rejects URLs such as gs://bucket/run, which pathlib would turn into a folder "gs:"."""
    scheme = path.parts[0] if path.parts else ""
    if re.fullmatch(r"[A-Za-z][\w+.-]+:", scheme):
        raise ValueError(
            f"{name} is {scheme}//{path.relative_to(scheme)}, expected a local path, which {scheme}// is not"
        )


def free_path(parent: Path, name: str) -> Path:
    """Returns ``parent/name``, or the first of ``parent/name-2``, ``-3`` ... that does not exist.

    >>> free_path(Path("no-such-folder"), "digits").name
    'digits'
    """
    path, number = parent / name, 2
    while path.exists():
        path, number = parent / f"{name}-{number}", number + 1
    return path
