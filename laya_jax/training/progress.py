"""Progress of training between steps, which is saved in checkpoints along with the state."""

import dataclasses

from laya_jax.training.early_stopping import EarlyStopping


@dataclasses.dataclass(frozen=True)
class EpochTotals:
    """Totals over the steps of an epoch so far: loss times examples, correct examples, examples, seconds."""

    loss: float = 0.0
    correct: float = 0.0
    examples: int = 0
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Attributes:
      epoch: Number of completed epochs.
      stopping: Early stopping, with the best epoch so far.
      totals: Totals of the current epoch.
      warnings: Caveats to report with the result.
    """

    epoch: int
    stopping: EarlyStopping
    totals: EpochTotals
    warnings: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.stopping.best_epoch > self.epoch:
            raise ValueError(
                f"stopping.best_epoch is {self.stopping.best_epoch}, expected at most {self.epoch}"
            )
