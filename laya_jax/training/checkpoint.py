"""Checkpoints of a run: asynchronous, atomic and verified on restore. A thin wrapper around Orbax."""

import dataclasses
import json
import os
import re
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import jax

from laya_jax.engine import TrainState, checksum
from laya_jax.typing import JsonObject

VERSION = 2
"""Version of the checkpoint format. Version 1, without a checksum of the progress, can still be read."""

Progress: TypeAlias = JsonObject
"""State of the training loop besides the ``TrainState``, as JSON."""


_OS_ERROR = re.compile(r"os_error_code='(\d+)'")
"""Pattern of the OS error number in TensorStore's messages."""


class DamagedCheckpointError(ValueError):
    """Raised when a checkpoint is unreadable or fails its checksum."""


class Checkpoints:
    """Checkpoints of one run: the latest two, and the best as of each of them.

    If the latest one is damaged, training can resume from the previous one with its best parameters; if the
    best one is damaged, the best of the others replaces it.

    Attributes:
      directory: Path of the checkpoint directory, with one folder per checkpoint named by its step.
      warnings: Warnings about checkpoints that could not be read.
    """

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        # Imported here because loading an exported model does not need Orbax.
        import orbax.checkpoint as ocp

        _ignore_closed_loops()
        self.directory = directory.absolute()
        self.warnings: list[str] = []
        self._arguments = ocp.args
        self._best_steps: dict[int, int] = {}
        self._manager = ocp.CheckpointManager(
            self.directory,
            item_names=("state", "progress"),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=_LatestTwoAndBest(self._best_steps),
                # Removes temporary directories of a process that was killed during a save.
                cleanup_tmp_directories=not read_only,
                read_only=read_only,
            ),
        )

    def steps(self) -> list[int]:
        """Lists the steps of the complete checkpoints, latest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def save(self, state: TrainState, progress: Progress, *, best_step: int) -> None:
        """Starts an asynchronous save; pass a copy of the state, since it must not be donated meanwhile.

        Args:
          state: Training state.
          progress: Other information needed to resume, as JSON.
          best_step: Step of the best parameters so far, which are preserved.

        Raises:
          OSError: This or an earlier checkpoint cannot be written; the error names the directory.
        """
        step = int(state.step)
        self._best_steps[step] = best_step
        content = {"version": VERSION, "checksum": checksum(state), "best_step": best_step, **progress}
        content["progress_checksum"] = _checksum_of_json(content)
        with self._writing():
            self._manager.save(
                step,
                args=self._arguments.Composite(
                    state=self._arguments.StandardSave(_fields(state)),
                    progress=self._arguments.JsonSave(content),
                ),
            )

    def restore(self, step: int, like: TrainState) -> tuple[TrainState, Progress]:
        """Restores a checkpoint as NumPy arrays with the shapes and dtypes of ``like``.

        Raises:
          DamagedCheckpointError: The checkpoint is unreadable or fails its checksum.
          ValueError: The checkpoint was written by a later version, or has other shapes.
        """
        progress = self._read_progress(step)
        # A state of another version may have another structure, which does not mean damage.
        version = progress.pop("version")
        if version > VERSION:
            raise ValueError(f"checkpoint {step} has version {version}, expected at most {VERSION}")
        state = TrainState(**self._read(step, "state", self._arguments.StandardRestore(_fields(like))))
        if checksum(state) != progress.pop("checksum"):
            raise DamagedCheckpointError(f"checkpoint {step} is damaged")
        _check_shapes(state, like, f"{self.directory / str(step)}")
        self._best_steps[step] = progress.pop("best_step")
        return state, progress

    def _read_progress(self, step: int) -> Progress:
        progress = self._read(step, "progress", self._arguments.JsonRestore())
        if isinstance(progress, dict):
            expected = progress.pop("progress_checksum", None)
            numbers = [progress.get(name) for name in ("version", "checksum", "best_step")]
            known = progress.get("version") == 1 and expected is None  # version 1 had no checksum
            if all(type(number) is int for number in numbers) and (
                known or expected == _checksum_of_json(progress)
            ):
                return progress
        raise DamagedCheckpointError(f"checkpoint {step} is damaged")

    def _read(self, step: int, item: str, how: object) -> Any:
        try:
            return self._manager.restore(step, args=self._arguments.Composite(**{item: how}))[item]
        except Exception as error:  # damaged files make Orbax, TensorStore and JSON raise anything
            raise DamagedCheckpointError(f"checkpoint {step} cannot be read: {_first_line(error)}") from error

    def best(self, like: TrainState, scores: Mapping[int, float]) -> tuple[TrainState, Progress]:
        """Restores the best state as of the latest intact checkpoint, or else the best readable one.

        Args:
          like: State with the expected shapes and dtypes.
          scores: Validation accuracy after each epoch, by step.

        Raises:
          FileNotFoundError: There is no checkpoint.
        """
        state, progress = self.latest(like)
        latest = int(state.step)
        best = self._best_steps[latest] or latest
        if best != latest:
            try:
                state, _ = self.restore(best, like)
            except DamagedCheckpointError as error:
                left = self.best_left(like, scores) or latest
                self._warn(f"{error}; it was the best one, using that of step {left} instead")
                state, _ = self.restore(left, like)
        # If a checkpoint is missing entirely, only the scores show that it existed.
        first_best = max(scores, key=lambda step: (scores[step], -step), default=best)
        if first_best != best and not (self.warnings or progress.get("warnings")):
            self._warn(
                f"the best epoch, after step {first_best}, has no checkpoint; using that of step {best} "
                "instead"
            )
        return state, progress

    def best_left(self, like: TrainState, scores: Mapping[int, float]) -> int:
        """Finds the first best step with a score and an intact checkpoint; 0 if there is none."""
        for step in sorted(scores.keys() & self.steps(), key=lambda step: (-scores[step], step)):
            try:
                self.restore(step, like)
            except DamagedCheckpointError:
                continue
            return step
        return 0

    def latest(self, like: TrainState) -> tuple[TrainState, Progress]:
        """Restores the latest intact checkpoint.

        Raises:
          FileNotFoundError: There is no checkpoint.
        """
        for step in self.steps():
            try:
                return self.restore(step, like)
            except DamagedCheckpointError as error:
                self._warn(f"{error}; using the previous one")
        raise FileNotFoundError(f"{self.directory} has no intact checkpoint yet")

    def _warn(self, message: str) -> None:
        self.warnings.append(message)
        warnings.warn(f"{self.directory.parent}: {message}", stacklevel=4)

    def delete(self, step: int) -> None:
        """Deletes a checkpoint."""
        self._manager.delete(step)

    def wait(self) -> None:
        """Waits for all saves to complete.

        Raises:
          OSError: A checkpoint cannot be written; the error names the directory.
        """
        with self._writing():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for all saves and releases the directory.

        Raises:
          OSError: A checkpoint cannot be written; the error names the directory.
        """
        with self._writing():
            self._manager.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Converts write errors of Orbax and TensorStore to OSError."""
        try:
            yield
        except Exception as error:
            found = _OS_ERROR.search(str(error))
            number = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
            if number is None:
                raise OSError(f"{self.directory} cannot be written: {_first_line(error)}") from error
            raise OSError(number, os.strerror(number), str(self.directory)) from error


class _LatestTwoAndBest:
    """Orbax ``PreservationPolicy`` that keeps the latest two checkpoints and the best as of each."""

    def __init__(self, best_steps: dict[int, int]) -> None:
        self.best_steps = best_steps

    def should_preserve(self, checkpoints: Sequence[Any], *, context: object) -> list[bool]:
        del context  # not needed
        steps = [checkpoint.step for checkpoint in checkpoints]
        latest = sorted(steps)[-2:]
        kept = {*latest, *(self.best_steps.get(step, step) for step in latest)}
        return [step in kept for step in steps]


def _check_shapes(state: TrainState, like: TrainState, name: str) -> None:
    # Orbax restores arrays in the shapes they were saved in.
    expected = jax.tree.leaves(like)
    for (path, leaf), other in zip(jax.tree_util.tree_leaves_with_path(state), expected, strict=True):
        if leaf.shape != other.shape:
            where = jax.tree_util.keystr(path, simple=True, separator="/")
            raise ValueError(
                f"{name} does not fit the config: {where} has shape {leaf.shape}, not {other.shape}"
            )


def _checksum_of_json(values: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())


def _fields(state: TrainState) -> dict[str, object]:
    """Returns the fields to save, without those that are None, as in versions without these fields."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: value for name, value in fields.items() if value is not None}


def _ignore_closed_loops() -> None:
    """Suppresses errors of TensorStore callbacks on an event loop that Orbax closed after a failure."""
    hook = sys.unraisablehook
    if isinstance(hook, partial) and hook.func is _unless_closed_loop:
        return
    sys.unraisablehook = partial(_unless_closed_loop, hook)


def _unless_closed_loop(
    hook: "Callable[[sys.UnraisableHookArgs], object]", unraisable: "sys.UnraisableHookArgs"
) -> None:
    if "Event loop is closed" not in str(unraisable.exc_value):
        hook(unraisable)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
