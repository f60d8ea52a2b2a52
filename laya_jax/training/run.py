"""The directory of a run: its config, what it ran on, its metrics, its checkpoints and its result.

config.json        every field of the config
environment.json   versions, git commit, backend, devices
data.json          class names, preprocessing, fingerprint;  vocabulary.txt or tokenizer.json for texts
backbone.json      sizes of a pretrained backbone, and a checksum of its weights
metrics.jsonl      one JSON object a line: every epoch
checkpoints/       the latest two and the best
result.json        metrics of the best epoch's parameters on the test split; written last
"""

import dataclasses
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from laya_jax.data import Preprocessing, Schema
from laya_jax.data.config import PATHS, kind_of
from laya_jax.data.tokenizer import Tokenizer
from laya_jax.data.vocabulary import Vocabulary
from laya_jax.files import read_json, write_json, write_text
from laya_jax.training.config import Config, differences, from_json, to_json
from laya_jax.training.environment import environment
from laya_jax.training.parallel import ParallelConfig

CONFIG, ENVIRONMENT, DATA, BACKBONE = "config.json", "environment.json", "data.json", "backbone.json"
STARTED_ON = "started_on"
METRICS, RESULT, CHECKPOINTS, LOCK = "metrics.jsonl", "result.json", "checkpoints", ".lock"


class RunDirectory:
    """One run's files.

    >>> RunDirectory.open("no-such-run")
    Traceback (most recent call last):
      ...
    FileNotFoundError: no run in no-such-run: it has no config.json
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.config = config

    @classmethod
    def create(
        cls,
        path: str | Path,
        config: Config,
        schema: Schema,
        fingerprint: int,
        backbone: Mapping[str, Any] | None = None,
        parallel: ParallelConfig = ParallelConfig(),
    ) -> "RunDirectory":
        """Makes the directory of a new run. It appears whole or not at all.

        Args:
          path: of the directory.
          config: of the run.
          schema: what its model knows of its data.
          fingerprint: of the data.
          backbone: what has to be known of a pretrained one, as what JSON holds.
          parallel: on what it is computed.

        Raises:
          FileExistsError: there is something already.
        """
        path = Path(path)
        check_is_new(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        draft.chmod(0o755)
        try:
            write_json(draft / CONFIG, to_json(config))
            write_json(draft / ENVIRONMENT, {**environment(), STARTED_ON: to_json(parallel)})
            write_schema(draft, schema, fingerprint=fingerprint)
            if backbone is not None:
                write_json(draft / BACKBONE, backbone)
            draft.rename(path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return cls(path, config)

    @classmethod
    def open(cls, path: str | Path) -> "RunDirectory":
        """Opens the directory of a run.

        Raises:
          FileNotFoundError: there is no run.
          ValueError: its config cannot be read, or the path is no path on a disk.
        """
        path = Path(path)
        _check_on_disk(path, "run")
        if not (path / CONFIG).is_file():
            raise FileNotFoundError(f"no run in {path}: it has no {CONFIG}")
        return cls(path, from_json(Config, read_json(path / CONFIG)))

    def schema(self) -> Schema:
        """What the run's model knows of its data."""
        return read_schema(self.path)

    def fingerprint(self) -> int:
        """That of the data that the run started with."""
        return int(read_json(self.path / DATA)["fingerprint"])

    def started_on(self) -> ParallelConfig:
        """On what the run was started; which processes took part is nothing to go on with."""
        values = read_json(self.path / ENVIRONMENT).get(STARTED_ON, {})
        one_process = {"coordinator": None, "processes": None, "process": None}
        return from_json(ParallelConfig, values | one_process)

    def backbone(self) -> dict[str, Any] | None:
        """What is known of the run's pretrained backbone, if it has one."""
        return read_json(self.path / BACKBONE) if (self.path / BACKBONE).exists() else None

    def check_config(self, config: Config) -> None:
        """Raises unless the run was started with this config; data and weights may be in other places."""
        changes = differences(self.config, _placed_as(config, self.config))
        if changes:
            raise ValueError(
                f"the config differs from that of the run in {self.path}: {'; '.join(changes)}; "
                "start a new run with it"
            )

    def check_backbone(self, path: str | None, weights: int | None) -> None:
        """Raises unless the weights at this path have the checksum of those that the run started with."""
        known = self.backbone()
        if known is not None and known["weights"] != weights:
            raise ValueError(f"the weights in {path} are not those that the run in {self.path} started with")

    def check_data(self, source: str, fingerprint: int) -> None:
        """Raises unless the data of this source have the fingerprint of those that the run started with."""
        if self.fingerprint() != fingerprint:
            raise ValueError(f"the data of {source!r} are not those that the run in {self.path} started with")

    def move(self, config: Config) -> None:
        """Notes where data and weights are now, once they were checked."""
        self.config = config
        if jax.process_index() == 0:
            write_json(self.path / CONFIG, to_json(config))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes of this machine from training in the directory.

        It is free again when this process has ended, however it ended.

        Raises:
          FileExistsError: another process is training in it.
        """
        with (self.path / LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FileExistsError(f"another process is training the run in {self.path}") from None
            yield

    def log(self, line: Mapping[str, Any]) -> None:
        """Adds a line to the metrics, on disk before it returns."""
        with (self.path / METRICS).open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines of the metrics; one that was cut off while it was written is left out."""
        path = self.path / METRICS
        for line in path.read_text().splitlines(keepends=True) if path.exists() else ():
            if line.endswith("\n"):
                yield json.loads(line)

    def scores(self) -> dict[int, float]:
        """Accuracy on the validation split, by the step after which it was measured."""
        return {line["step"]: line["validation"]["accuracy"] for line in self.lines()}

    def forget_after(self, step: int) -> None:
        """Takes back the lines of later steps, which a resumed run will write again."""
        kept = [json.dumps(line) + "\n" for line in self.lines() if line["step"] <= step]
        write_text(self.path / METRICS, "".join(kept))

    def result(self) -> dict[str, Any] | None:
        """The result of a run that has finished."""
        path = self.path / RESULT
        return read_json(path) if path.exists() else None


def check_is_new(path: Path, name: str = "run_dir") -> None:
    """Raises unless something new can be at this path; ``name`` is the argument's.

    >>> check_is_new(Path("gs://bucket/run"))
    Traceback (most recent call last):
      ...
    ValueError: run_dir is gs://bucket/run, expected a path on a disk, which gs:// is not

    Raises:
      FileExistsError: there is something already.
      ValueError: it is no path on a disk.
    """
    _check_on_disk(path, name)
    if path.exists():
        hint = f" ('laya resume {path}' goes on with it)" if (path / CONFIG).exists() else ""
        raise FileExistsError(f"{name} is {path}, which exists already{hint}, expected a new one")


def _check_on_disk(path: Path, name: str) -> None:
    """Raises if a path names a service, as gs://bucket/run does: pathlib would make a folder "gs:" of it."""
    scheme = path.parts[0] if path.parts else ""
    if re.fullmatch(r"[A-Za-z][\w+.-]+:", scheme):
        raise ValueError(
            f"{name} is {scheme}//{path.relative_to(scheme)}, expected a path on a disk, which "
            f"{scheme}// is not"
        )


def _placed_as(config: Config, other: Config) -> Config:
    """The config with data and weights in the places of the other one's, if both are of the same kind."""
    data, backbone, kind = config.data, config.backbone, kind_of(config.data.source)
    if kind == kind_of(other.data.source):
        source = other.data.source if kind in PATHS else data.source
        data = dataclasses.replace(data, source=source, directory=other.data.directory)
    if None not in (backbone.path, other.backbone.path):
        backbone = dataclasses.replace(backbone, path=other.backbone.path)
    return dataclasses.replace(config, data=data, backbone=backbone)


def free_path(parent: Path, name: str) -> Path:
    """``parent/name``, or the first of ``parent/name-2``, ``-3`` ... that does not exist.

    >>> free_path(Path("no-such-folder"), "digits").name
    'digits'
    """
    path, number = parent / name, 2
    while path.exists():
        path, number = parent / f"{name}-{number}", number + 1
    return path


def write_schema(directory: Path, schema: Schema, **more: Any) -> None:
    """Writes a model's knowledge of its data."""
    preprocessing = dataclasses.asdict(schema.preprocessing)
    known = {"class_names": schema.class_names, "preprocessing": preprocessing, "dtype": schema.dtype}
    write_json(directory / DATA, {**known, **more})
    if schema.encoder is not None:
        write_text(directory / schema.encoder.FILE, schema.encoder.to_text())


def read_schema(directory: Path) -> Schema:
    """Reads what ``write_schema`` wrote."""
    values = read_json(directory / DATA)
    encoders = [kind for kind in (Vocabulary, Tokenizer) if (directory / kind.FILE).exists()]
    return Schema(
        tuple(values["class_names"]),
        Preprocessing.from_json(values["preprocessing"]),
        encoders[0].from_text((directory / encoders[0].FILE).read_text("utf-8")) if encoders else None,
        values.get("dtype"),
    )
