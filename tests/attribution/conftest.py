import numpy as np
import pytest

from laya_jax.attribution import Explanation

SAMPLES, LAYERS, CLASSES = 40, 4, 3


def drawn(samples=SAMPLES, layers=LAYERS, classes=CLASSES, seed=0):
    """An explanation of no particular kind."""
    generator = np.random.default_rng(seed)
    return Explanation(
        generator.normal(size=(samples, layers)),
        generator.normal(size=(samples, layers, classes)) * 2,
        generator.uniform(0.5, 2, size=(samples, layers)),
        generator.normal(size=classes) / 10,
    )


@pytest.fixture
def explanation():
    return drawn()


@pytest.fixture
def one_layer():
    """A head that ignores all layers but the third: attention is there, and only it says anything."""
    scores = np.zeros((SAMPLES, LAYERS))
    scores[:, 2] = 60
    votes = np.zeros((SAMPLES, LAYERS, CLASSES))
    votes[:, 2] = np.random.default_rng(0).normal(size=(SAMPLES, CLASSES)) * 2
    return Explanation(scores, votes, np.ones((SAMPLES, LAYERS)), np.zeros(CLASSES))


@pytest.fixture
def indifferent():
    """A head whose attention has nothing to do with its output: all layers say the same."""
    generator = np.random.default_rng(0)
    votes = np.repeat(generator.normal(size=(SAMPLES, 1, CLASSES)), LAYERS, axis=1)
    return Explanation(
        generator.normal(size=(SAMPLES, LAYERS)), votes, np.ones((SAMPLES, LAYERS)), np.zeros(CLASSES)
    )


@pytest.fixture
def uniform():
    """A head that listens to all layers alike."""
    return drawn()._replace(scores=np.zeros((SAMPLES, LAYERS)))
