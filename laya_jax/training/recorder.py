"""Recorder of one seed's run: its progress between steps, and its files."""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import MappingProxyType

import jax
import numpy as np
from numpy.typing import NDArray

from laya_jax.engine import COLLAPSE, Metrics, TrainState, from_json
from laya_jax.training.checkpoint import Checkpoints, DamagedCheckpointError
from laya_jax.training.early_stopping import EarlyStopping
from laya_jax.training.progress import EpochTotals, Progress
from laya_jax.training.records import Faithfulness, Result
from laya_jax.training.run_directory import CHECKPOINTS, METRICS, RunDirectory
from laya_jax.typing import JsonObject


class NonFiniteLossError(ArithmeticError):
    """Raised when a loss is infinite or NaN."""


class Recorder:
    """Writes a run's metrics and checkpoints, and decides when it has finished.

    Attributes:
      run: Directory of the run.
      stopping: Early stopping, with the best epoch so far.
      totals: Totals of the current epoch.
      error: Error that stopped the run after a non-finite loss; None before.
      warnings: Caveats to report with the result.
    """

    def __init__(self, run: RunDirectory, steps_per_epoch: int) -> None:
        self.run = run
        self.steps_per_epoch = steps_per_epoch
        self.stopping = EarlyStopping(run.config.patience)
        self.totals = EpochTotals()
        self.error: NonFiniteLossError | None = None
        self.warnings: list[str] = []
        self.epoch = 0
        self.checkpoints = Checkpoints(run.path / CHECKPOINTS)
        self._writes = jax.process_index() == 0

    @property
    def finished(self) -> bool:
        """True if training is complete or cannot continue."""
        return self.error is not None or self.stopping.stops or self.epoch >= self.run.config.epochs

    def resume(self, initial: TrainState) -> TrainState:
        """Returns the state to resume from: the latest intact checkpoint, or the initial state.

        Anything written after that checkpoint is deleted and will be written again. If the best checkpoint is
        damaged, the best readable one replaces it.

        Raises:
          DamagedCheckpointError: There are checkpoints, but none is intact.
          ValueError: The metrics do not cover the epochs up to the checkpoint.
        """
        state = self._restore(initial)
        self._check_lines(int(state.step))
        for step in self.checkpoints.steps():
            if step > state.step:
                self.checkpoints.delete(step)
        if self._writes:
            self.run.forget_after(int(state.step))
        if self.stopping.best_step not in (0, state.step):
            self._best(initial)
        return state

    def _restore(self, initial: TrainState) -> TrainState:
        for step in self.checkpoints.steps():
            try:
                state, progress = self._read(step, initial)
            except DamagedCheckpointError as error:
                warnings.warn(f"{self.run.path}: {error}; continuing from the previous one", stacklevel=3)
                continue
            self.epoch, self.stopping = progress.epoch, progress.stopping
            self.totals, self.warnings = progress.totals, progress.warnings
            return state
        if self.checkpoints.steps():
            raise DamagedCheckpointError(
                f"{self.run.path} has no readable checkpoint; delete {self.checkpoints.directory} to start "
                "the run over"
            )
        return initial

    def _read(self, step: int, initial: TrainState) -> tuple[TrainState, Progress]:
        state, values = self.checkpoints.restore(step, initial)
        try:
            return state, from_json(Progress, values)
        except ValueError as error:
            raise DamagedCheckpointError(f"checkpoint {step} is damaged: {error}") from error

    def _check_lines(self, step: int) -> None:
        epochs = [line["epoch"] for line in self.run.lines() if line["step"] <= step]
        if epochs != [*range(1, self.epoch + 1)]:
            raise ValueError(
                f"{self.run.path / METRICS} holds {len(epochs)} of the {self.epoch} epochs up to the "
                f"checkpoint of step {step}; restore it, or delete it and {self.checkpoints.directory} to "
                "start the run over"
            )

    def add(self, losses: NDArray, correct: NDArray, examples: NDArray, *, step: int, seconds: float) -> None:
        """Adds steps to the epoch's totals, or records an error if a loss is not finite.

        Args:
          losses: Loss of each step, [steps].
          correct: Number of correctly classified examples in each step.
          examples: Number of examples in each step.
          step: Number of steps taken before these.
          seconds: Duration of these steps in seconds.
        """
        broken = np.flatnonzero(~np.isfinite(losses))
        if self.error is None and len(broken):
            self.error = self._broken(f"at step {step + broken[0] + 1}")
        if self.error is not None:
            return
        totals = self.totals
        self.totals = EpochTotals(
            totals.loss + float(np.sum(losses.astype(np.float64) * examples)),
            totals.correct + float(np.sum(correct, dtype=np.float64)),
            totals.examples + int(np.sum(examples)),
            totals.seconds + seconds,
        )

    def end_epoch(
        self, validation: Metrics, state: TrainState, details: Mapping[str, object] = MappingProxyType({})
    ) -> JsonObject | None:
        """Records an epoch's metrics, and starts saving a checkpoint.

        Args:
          validation: Metrics on the validation split.
          state: State after the epoch.
          details: Findings of training.

        Returns:
          The line added to the metrics; None if the validation loss is not finite.
        """
        step, totals = int(state.step), self.totals
        if not np.isfinite(validation.loss):
            self.error = self._broken(f"on the validation split after step {step}")
            return None
        self.epoch += 1
        self.stopping = self.stopping.after(validation.accuracy, epoch=self.epoch, step=step)
        self.totals = EpochTotals()
        line = {
            "epoch": self.epoch,
            "step": step,
            "train": {"loss": totals.loss / totals.examples, "accuracy": totals.correct / totals.examples},
            "validation": dataclasses.asdict(validation),
            "seconds": round(totals.seconds, 4),
            "examples_per_second": round(totals.examples / max(totals.seconds, 1e-9)),
            **({"details": details} if details else {}),
        }
        if self._writes:
            self.run.log(line)
        self.save(state)
        return line

    def save(self, state: TrainState) -> None:
        """Starts saving a checkpoint."""
        progress = Progress(self.epoch, self.stopping, self.totals, self.warnings)
        self.checkpoints.save(state, dataclasses.asdict(progress), best_step=self.stopping.best_step)

    def best(self, like: TrainState) -> TrainState:
        """Restores the state of the best epoch, or of the best readable one if that checkpoint is damaged.

        Raises:
          DamagedCheckpointError: No checkpoint is readable.
        """
        self.checkpoints.wait()
        state = self._best(like)
        if state is None:
            raise DamagedCheckpointError(f"{self.run.path} has no readable checkpoint of any epoch")
        return state

    def _best(self, like: TrainState) -> TrainState | None:
        try:
            return self.checkpoints.restore(self.stopping.best_step, like)[0]
        except DamagedCheckpointError as error:
            self._replace_best(like)
            warnings.warn(f"{self.run.path}: {error}; {self.warnings[-1]}", stacklevel=3)
        step = self.stopping.best_step
        return self.checkpoints.restore(step, like)[0] if step else None

    def _replace_best(self, like: TrainState) -> None:
        """Falls back to the best readable epoch; to none if only mid-epoch checkpoints are readable."""
        lost, scores = self.stopping, self.run.scores()
        step = self.checkpoints.best_left(like, scores)
        epoch = 1 + sorted(scores).index(step) if step else 0
        # ``waited`` is unchanged: no epoch since then was better than the lost one.
        self.stopping = dataclasses.replace(
            lost, best_score=scores.get(step), best_epoch=epoch, best_step=step
        )
        instead = f"epoch {epoch}, with {scores[step]:.4f}," if step else "the best of the coming epochs"
        self.warnings.append(
            f"epoch {lost.best_epoch}, with validation accuracy {lost.best_score:.4f}, was the best, but its "
            f"checkpoint cannot be read; {instead} replaces it"
        )

    def finish(self, test: Metrics, flips: NDArray | None) -> JsonObject:
        """Writes the result: metrics of the best epoch's parameters on the test split."""
        lines = list(self.run.lines())
        result = Result(
            run=str(self.run.path),
            seed=self.run.config.seed,
            head=self.run.config.head.kind,
            epochs=self.epoch,
            best_epoch=self.stopping.best_epoch,
            validation=Metrics(**lines[self.stopping.best_epoch - 1]["validation"]),
            test=test,
            faithfulness=None if flips is None else Faithfulness(**faithfulness(flips)),
            warnings=[*self.run.warnings, *self.warnings, *collapse(test)],
            seconds=round(sum(line["seconds"] for line in lines), 2),
        )
        if self._writes:
            self.run.finish(result)
        return dataclasses.asdict(result)

    def _broken(self, where: str) -> NonFiniteLossError:
        self.checkpoints.wait()
        steps = self.checkpoints.steps()
        kept = f"the checkpoint of step {steps[0]} is kept" if steps else "there is no checkpoint yet"
        return NonFiniteLossError(
            f"the loss is not finite {where} (seed {self.run.config.seed}); {kept} in {self.run.path}; "
            "try a smaller optimizer.learning_rate, or set optimizer.clip_norm"
        )


@contextmanager
def recording(run: RunDirectory, steps_per_epoch: int) -> Iterator[Recorder]:
    """Opens the recorder of a run, which locks its directory against training by other processes."""
    with run.lock() if jax.process_index() == 0 else nullcontext():
        recorder = Recorder(run, steps_per_epoch)
        try:
            yield recorder
        finally:
            recorder.checkpoints.close()


def faithfulness(flips: NDArray) -> dict[str, float]:
    """Computes the fractions of predictions that flip without a layer, from ``deletion_flips`` [N, L].

    >>> faithfulness(np.array([[True, False], [True, True]]))
    {'flips_without_top_layer': 1.0, 'flips_without_another_layer': 0.5}
    """
    others = flips[:, 1:]
    return {
        "flips_without_top_layer": float(np.mean(flips[:, 0])),
        "flips_without_another_layer": float(np.mean(others)) if others.size else 0.0,
    }


def collapse(metrics: Metrics) -> list[str]:
    """Warns if attention has collapsed onto one of several layers."""
    attention = metrics.attention
    if attention is None or len(attention) == 1 or metrics.effective_depth is None:
        return []
    if metrics.effective_depth >= COLLAPSE:
        return []
    return [
        f"attention has collapsed onto layer h{int(np.argmax(attention)) + 1}: effective depth "
        f"{metrics.effective_depth:.2f} of {len(attention)}"
    ]
