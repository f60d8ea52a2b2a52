"""When to stop, and which epoch was the best."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stops after ``patience`` epochs in a row without a better score, as Keras does.

    An equal score is no better one, so the best epoch is the first of its score.

    Attributes:
      patience: epochs without a better score after which training stops.
      best_score: so far; None before the first epoch.
      best_epoch: its epoch, from 1; 0 before the first.
      best_step: its step.
      waited: epochs since then.

    Reference: LAYA (arXiv 2511.12723), section 4; ``keras.callbacks.EarlyStopping`` with
    ``restore_best_weights``. (Flax's stops one epoch later.)
    """

    patience: int
    best_score: float | None = None
    best_epoch: int = 0
    best_step: int = 0
    waited: int = 0

    def after(self, score: float, *, epoch: int, step: int) -> "EarlyStopping":
        """What it knows after an epoch of this score.

        >>> stopping = EarlyStopping(patience=2)
        >>> for epoch, score in enumerate([0.5, 0.6, 0.6, 0.4], 1):
        ...     stopping = stopping.after(score, epoch=epoch, step=10 * epoch)
        >>> stopping.best_epoch, stopping.stops
        (2, True)
        """
        if self.best_score is None or score > self.best_score:
            return EarlyStopping(self.patience, score, epoch, step)
        return dataclasses.replace(self, waited=self.waited + 1)

    @property
    def stops(self) -> bool:
        """Whether training is over."""
        return self.waited >= self.patience
