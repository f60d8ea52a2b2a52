"""Checkpoints of a run: asynchronous, atomic, checked when they are read. A thin shell around Orbax."""

import dataclasses
import sys
import warnings
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np

from laya_jax.training.state import TrainState

VERSION = 1
"""Of what a checkpoint holds; raised when older ones can no longer be read as they are."""

Progress: TypeAlias = dict[str, Any]
"""What the loop knows besides the state, as JSON."""


class DamagedCheckpointError(ValueError):
    """A checkpoint that cannot be read back as it was written."""


class Checkpoints:
    """The checkpoints of one run: the latest two, and the best that either of them knows of.

    A damaged latest one then still leaves one to go on from, with the best parameters up to there; a damaged
    best one leaves the best of the others.

    Attributes:
      directory: where they are; each is a folder named by its step.
    """

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        # Whoever loads an exported model needs no Orbax.
        import orbax.checkpoint as ocp

        _ignore_closed_loops()
        self.directory = directory.absolute()
        self._arguments = ocp.args
        self._best_steps: dict[int, int] = {}
        self._manager = ocp.CheckpointManager(
            self.directory,
            item_names=("state", "progress"),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=_LatestTwoAndBest(self._best_steps),
                # Left over by a process that was killed while it wrote.
                cleanup_tmp_directories=not read_only,
                read_only=read_only,
            ),
        )

    def steps(self) -> list[int]:
        """Steps of the checkpoints that were written to the end, latest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def save(self, state: TrainState, progress: Progress, *, best_step: int) -> None:
        """Starts to write a checkpoint; the state must not be donated meanwhile, so pass a copy.

        Args:
          state: what is trained.
          progress: what else is needed to go on, as JSON.
          best_step: of the best parameters so far, which are kept.
        """
        step = int(state.step)
        self._best_steps[step] = best_step
        content = {"version": VERSION, "checksum": checksum(state), "best_step": best_step, **progress}
        self._manager.save(
            step,
            args=self._arguments.Composite(
                state=self._arguments.StandardSave(_fields(state)),
                progress=self._arguments.JsonSave(content),
            ),
        )

    def restore(self, step: int, like: TrainState) -> tuple[TrainState, Progress]:
        """Reads a checkpoint into NumPy arrays of the shapes and types of ``like``.

        Raises:
          DamagedCheckpointError: it cannot be read, or not as it was written.
          ValueError: it was written in another version.
        """
        progress = dict(self._read(step, "progress", self._arguments.JsonRestore()))
        # A state of another version may be of another structure, which is no damage.
        version, expected = progress.pop("version", None), progress.pop("checksum", None)
        if version != VERSION:
            raise ValueError(f"checkpoint {step} is of version {version}, expected {VERSION}")
        state = TrainState(**self._read(step, "state", self._arguments.StandardRestore(_fields(like))))
        if checksum(state) != expected:
            raise DamagedCheckpointError(f"checkpoint {step} is not what was written")
        self._best_steps[step] = progress.pop("best_step")
        return state, progress

    def _read(self, step: int, item: str, how: Any) -> Any:
        try:
            return self._manager.restore(step, args=self._arguments.Composite(**{item: how}))[item]
        except Exception as error:  # whatever a damaged file makes Orbax, TensorStore or JSON raise
            raise DamagedCheckpointError(f"checkpoint {step} cannot be read: {_first_line(error)}") from error

    def best(self, like: TrainState, scores: Mapping[int, float]) -> TrainState:
        """The best state that the latest intact checkpoint knows of; if it is damaged, the best that is left.

        Args:
          like: of its shapes and types.
          scores: by step, of the states after an epoch.

        Raises:
          FileNotFoundError: there is none.
        """
        latest = self.latest(like)
        step = int(latest.step)
        if self._best_steps[step] in (0, step):
            return latest
        try:
            return self.restore(self._best_steps[step], like)[0]
        except DamagedCheckpointError as error:
            left = self.best_left(like, scores) or step
            warnings.warn(f"{error}; it was the best one, taking that of step {left}", stacklevel=2)
            return self.restore(left, like)[0]

    def best_left(self, like: TrainState, scores: Mapping[int, float]) -> int:
        """The first of the best steps that have a score and a checkpoint that can be read; 0 if none has."""
        for step in sorted(scores.keys() & self.steps(), key=lambda step: (-scores[step], step)):
            try:
                self.restore(step, like)
            except DamagedCheckpointError:
                continue
            return step
        return 0

    def latest(self, like: TrainState) -> TrainState:
        """The state of the latest intact checkpoint.

        Raises:
          FileNotFoundError: there is none.
        """
        for step in self.steps():
            try:
                return self.restore(step, like)[0]
            except DamagedCheckpointError as error:
                warnings.warn(f"{error}; taking the one before it", stacklevel=3)
        raise FileNotFoundError(f"{self.directory} has no intact checkpoint yet")

    def delete(self, step: int) -> None:
        """Deletes a checkpoint."""
        self._manager.delete(step)

    def wait(self) -> None:
        """Waits until everything is written, and raises what went wrong."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and lets go of the directory."""
        self._manager.close()


class _LatestTwoAndBest:
    """A ``PreservationPolicy`` of Orbax's."""

    def __init__(self, best_steps: dict[int, int]) -> None:
        self.best_steps = best_steps

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        del context  # holds nothing that is needed
        steps = [checkpoint.step for checkpoint in checkpoints]
        latest = sorted(steps)[-2:]
        kept = {*latest, *(self.best_steps.get(step, step) for step in latest)}
        return [step in kept for step in steps]


def checksum(tree: Any) -> int:
    """CRC-32 over all arrays of a tree, in order.

    >>> checksum({"a": np.zeros(3)}) == checksum({"a": np.zeros(4)})
    False
    """
    value = 0
    for leaf in jax.tree.leaves(tree):
        value = zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data, value)
    return value


def _fields(state: TrainState) -> dict[str, Any]:
    """What is written of a state: a field that is None leaves no trace, as in runs from before it was."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: value for name, value in fields.items() if value is not None}


def _ignore_closed_loops() -> None:
    """Keeps quiet about TensorStore's calls of a loop that Orbax closed when a read or write had failed."""
    hook = sys.unraisablehook
    if isinstance(hook, partial) and hook.func is _unless_closed_loop:
        return
    sys.unraisablehook = partial(_unless_closed_loop, hook)


def _unless_closed_loop(hook: Callable[[Any], Any], unraisable: Any) -> None:
    if "Event loop is closed" not in str(unraisable.exc_value):
        hook(unraisable)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
