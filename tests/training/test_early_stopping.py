import pytest

from laya_jax.training.early_stopping import EarlyStopping


def run(scores, patience):
    stopping = EarlyStopping(patience)
    for epoch, score in enumerate(scores, 1):
        stopping = stopping.after(score, epoch=epoch, step=100 * epoch)
        if stopping.stops:
            break
    return epoch, stopping


@pytest.mark.parametrize(
    ("scores", "patience", "last", "best"),
    [
        ([0.1, 0.2, 0.3, 0.3, 0.2, 0.9], 2, 5, 3),  # equal is no better, and waiting ends before the 0.9
        ([0.5, 0.4, 0.6, 0.4, 0.4], 2, 5, 3),  # a better score starts the count anew
        ([0.1, 0.2, 0.3], 1, 3, 3),
        ([0.3, 0.2], 1, 2, 1),
        ([0.0, 0.0, 0.0], 5, 3, 1),
    ],
)
def test_it_stops_when_keras_does(scores, patience, last, best):
    # keras.callbacks.EarlyStopping: wait += 1; stop if wait >= patience; best is replaced if greater.
    epoch, stopping = run(scores, patience)
    assert (epoch, stopping.best_epoch, stopping.best_step) == (last, best, 100 * best)
    assert stopping.best_score == scores[best - 1]


def test_flax_would_stop_one_epoch_later():
    from flax.training.early_stopping import EarlyStopping as FlaxEarlyStopping

    scores, flax = [0.5, 0.4, 0.4, 0.4, 0.4], FlaxEarlyStopping(patience=2)
    epochs = 0
    while not flax.should_stop:
        flax = flax.update(-scores[epochs])
        epochs += 1
    assert epochs == run(scores, 2)[0] + 1
