"""Early stopping on the validation score."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stops after ``patience`` consecutive epochs without a better score, as Keras does.

    An equal score does not count as better, so the best epoch is the first with its score.

    Attributes:
      patience: Number of epochs without a better score after which training stops.
      best_score: Best score so far; None before the first epoch.
      best_epoch: Epoch of the best score, from 1; 0 before the first epoch.
      best_step: Step of the best score.
      waited: Number of epochs since the best score.

    Reference: LAYA (arXiv 2511.12723), section 4; ``keras.callbacks.EarlyStopping`` with
    ``restore_best_weights``. (Flax's stops one epoch later.)
    """

    patience: int
    best_score: float | None = None
    best_epoch: int = 0
    best_step: int = 0
    waited: int = 0

    def after(self, score: float, *, epoch: int, step: int) -> "EarlyStopping":
        """Returns the updated state after an epoch with this score.

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
        """True if training should stop."""
        return self.waited >= self.patience
