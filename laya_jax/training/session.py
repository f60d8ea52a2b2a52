"""Starting and resuming runs with one call each, as the command line does."""

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import jax

from laya_jax.data import Dataset
from laya_jax.engine import (
    Config,
    Engine,
    ParallelConfig,
    Settled,
    any_process,
    barrier,
    checksum,
    differences,
    make_engine,
    make_parallel,
    settled,
)
from laya_jax.inputs import Inputs, check_read_alike, fingerprint, gather, pretrained_of
from laya_jax.training.data_record import class_counts
from laya_jax.training.listener import SILENT, Listener
from laya_jax.training.loop import train
from laya_jax.training.recorder import NonFiniteLossError
from laya_jax.training.run_directory import CONFIG, RunDirectory, check_is_new
from laya_jax.typing import JsonObject

T = TypeVar("T")

SEEN_WITHIN = 60.0
"""Seconds to wait for another process's files to become visible: network disks cache missing files."""


def start(
    configs: Sequence[Config],
    paths: Sequence[str | Path],
    parallel: ParallelConfig = ParallelConfig(),
    listener: Listener = SILENT,
    *,
    side_by_side: bool = False,
) -> list[JsonObject]:
    """Trains new runs on the same data, with the same pretrained backbone if they have one.

    Args:
      configs: Config of each run.
      paths: Path of a new directory for each run.
      parallel: Devices to compute on.
      listener: Listener that receives progress callbacks.
      side_by_side: True to train runs that differ only in their seeds in one vmapped program, which is faster
        on accelerators.

    Returns:
      The result of each run.

    Raises:
      FileExistsError: A path already exists.
      FileNotFoundError: A path is not visible to every process.
      ValueError: The configs cannot share their data, or differ in number from the paths.
    """
    folders = [Path(path) for path in paths]
    _check_alike(configs, folders)
    for path in folders:
        check_is_new(path)
    inputs, dataset = _gather(configs[0], parallel, listener)
    choices = _settled(configs, dataset, listener)
    configs = [choice.config for choice in choices]
    groups = _alike(configs) if side_by_side else [[index] for index in range(len(configs))]
    for _ in _engines(configs, groups, inputs, dataset, parallel):
        pass  # fails before anything is written if a config is invalid
    # Creates all directories before the first run starts, so that resuming finds runs that had not begun.
    runs = [
        _create(path, choice, inputs, dataset, parallel)
        for path, choice in zip(folders, choices, strict=True)
    ]
    engines = zip(groups, _engines(configs, groups, inputs, dataset, parallel), strict=True)
    trained = all_of(
        partial(train, engine, [runs[index] for index in group], listener) for group, engine in engines
    )
    results = {
        index: result
        for group in zip(groups, trained, strict=True)
        for index, result in zip(*group, strict=True)
    }
    return [results[index] for index in range(len(configs))]


def resume(
    run: RunDirectory | str | Path,
    parallel: ParallelConfig | None = None,
    listener: Listener = SILENT,
    config: Config | None = None,
) -> JsonObject:
    """Resumes a run from its latest intact checkpoint, or from the start if there is none.

    Args:
      run: Run, or the path of its directory.
      parallel: Devices to compute on; None uses those that the run was started on, as required for a
        bit-identical result.
      listener: Listener that receives progress callbacks.
      config: Expected config of the run; None accepts any. Its paths of data and weights may differ, and are
        then saved in the run.

    Returns:
      The result of the run. A finished run is not trained again, and its data are not read.

    Raises:
      ValueError: The config differs, the data or a pretrained backbone's weights have changed, or a file of
        the run is damaged.
    """
    run = run if isinstance(run, RunDirectory) else RunDirectory.open(run)
    now = config or run.config
    run.check_config(now)
    for warning in run.warnings:
        warnings.warn(warning, stacklevel=2)
    result = run.result()
    if result is not None and now == run.config:
        return result
    parallel, pretrained = parallel or run.started_on(), pretrained_of(now)
    run.check_backbone(now.backbone.path, pretrained and checksum(pretrained.parameters))
    known = run.backbone()
    check_read_alike(pretrained, known.sizes if known else None, now.backbone.path)

    def check(dataset: Dataset) -> None:
        run.check_data(fingerprint(dataset), now)

    inputs, dataset = _gather(now, parallel, listener, check)
    engine = make_engine(now, dataset, parallel, pretrained=inputs.backbone)
    if now != run.config:
        run.move(now)
    return result or train(engine, [run], listener)[0]


def all_of(trainings: Iterable[Callable[[], T]]) -> list[T]:
    """Runs several trainings in turn; raises only after all of them have ended.

    Raises:
      NonFiniteLossError: One or more trainings diverged.
    """
    results, diverged = [], []
    for training in trainings:
        try:
            results.append(training())
        except NonFiniteLossError as error:
            diverged.append(str(error))
    if diverged:
        raise NonFiniteLossError("; ".join(diverged))
    return results


def _settled(configs: Sequence[Config], dataset: Dataset, listener: Listener) -> list[Settled]:
    """Makes the choices that configs leave to the data, once for configs that differ only in their seeds."""
    made: dict[Config, Settled] = {}
    choices = []
    for config in configs:
        unseeded = dataclasses.replace(config, seed=0)
        if unseeded not in made:
            made[unseeded] = settled(unseeded, dataset)
            if made[unseeded].note:
                listener.noted(made[unseeded].note)
        choice = made[unseeded]
        choices.append(choice._replace(config=dataclasses.replace(choice.config, seed=config.seed)))
    return choices


def _gather(
    config: Config,
    parallel: ParallelConfig,
    listener: Listener,
    check: Callable[[Dataset], None] = lambda dataset: None,
) -> tuple[Inputs, Dataset]:
    def heard(dataset: Dataset) -> None:
        listener.loaded(dataset)
        check(dataset)

    return gather(config, make_parallel(parallel, batch_size=config.batch_size), listener.extracted, heard)


def _engines(
    configs: Sequence[Config],
    groups: Sequence[Sequence[int]],
    inputs: Inputs,
    dataset: Dataset,
    parallel: ParallelConfig,
) -> Iterator[Engine]:
    """Yields the engine of each group, reusing the previous engine if only the seeds differ."""
    engine, shared = None, None
    for group in groups:
        seeds = [configs[index].seed for index in group]
        unseeded = (dataclasses.replace(configs[group[0]], seed=0), len(seeds))
        if engine is None or shared != unseeded:
            engine = make_engine(configs[group[0]], dataset, parallel, seeds, inputs.backbone)
            shared = unseeded
        engine = engine.with_seeds(seeds)
        yield engine


def _check_alike(configs: Sequence[Config], paths: Sequence[Path]) -> None:
    """Checks that there is a path for each config, and that all configs read the same inputs."""
    if not configs or len(configs) != len(paths):
        raise ValueError(
            f"configs has {len(configs)} entries, expected one for each of the {len(paths)} paths"
        )
    for number, config in enumerate(configs):
        if _inputs_of(config) != _inputs_of(configs[0]):
            raise ValueError(
                f"configs[{number}] differs from configs[0] ({'; '.join(differences(configs[0], config))}), "
                "expected the same data and pretrained backbone for all runs that are started together"
            )


def _inputs_of(config: Config) -> tuple[object, ...]:
    """Returns all settings that determine a run's inputs."""
    pretrained = config.backbone.path is not None
    return (config.data, *((config.backbone, config.dtype) if pretrained else ()))


def _alike(configs: Sequence[Config]) -> list[list[int]]:
    """Groups the indices of configs that differ only in their seeds."""
    groups: dict[Config, list[int]] = {}
    for index, config in enumerate(configs):
        groups.setdefault(dataclasses.replace(config, seed=0), []).append(index)
    return list(groups.values())


def _create(
    path: Path, choice: Settled, inputs: Inputs, dataset: Dataset, parallel: ParallelConfig
) -> RunDirectory:
    barrier("a run directory is made")
    if jax.process_index() == 0:
        known = (inputs.stored, fingerprint(dataset), inputs.record, parallel)
        notes = (*dataset.notes, choice.note) if choice.note else dataset.notes
        RunDirectory.create(path, choice.config, *known, examples=class_counts(dataset), notes=notes)
    barrier("the run directory is there")
    if any_process(not _is_seen(path / CONFIG)):
        raise FileNotFoundError(
            f"run_dir is {path}, which is not visible to every process, expected a path on a shared disk"
        )
    return RunDirectory(path, choice.config)


def _is_seen(path: Path) -> bool:
    """Waits for a file that another process may have written; returns False if it does not appear."""
    until = time.monotonic() + (SEEN_WITHIN if jax.process_index() else 0)
    while not path.is_file():
        if time.monotonic() >= until:
            return False
        time.sleep(0.2)
    return True
