"""Training without a run directory: hundreds of short runs need no checkpoints, and are not resumed."""

from typing import NamedTuple

import numpy as np

from laya_jax.engine import Engine, TrainState


class Best(NamedTuple):
    """Best epoch of a run on the validation split.

    Attributes:
      accuracy: Validation accuracy after the epoch.
      epoch: Number of the epoch, from 1.
      state: State after the epoch.
    """

    accuracy: float
    epoch: int
    state: TrainState


def best_epoch(engine: Engine, epochs: int, steps: int) -> Best:
    """Trains the only seed of an engine; returns the first epoch of highest validation accuracy.

    Args:
      engine: Engine with one seed.
      epochs: Number of epochs, at least 1.
      steps: Number of steps per epoch, which may pass over the training examples several times.
    """
    labels, placed, best = engine.dataset.validation.labels, engine.place(engine.initial()), None
    for epoch in range(1, epochs + 1):
        for state, _ in engine.train(placed, (epoch - 1) * steps, steps):
            placed = state
        logits = engine.outputs(placed, "validation")[0].logits
        accuracy = float(np.mean(np.argmax(logits, axis=1) == labels))
        if best is None or accuracy > best.accuracy:
            best = Best(accuracy, epoch, engine.fetch(placed)[0])
    assert best is not None
    return best
