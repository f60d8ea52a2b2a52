"""What tests capture hidden states from."""

import flax.linen as nn
import jax
import numpy as np

IMAGES = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
TOKENS = np.random.default_rng(0).normal(size=(4, 5, 6)).astype("float32")


class Block(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
        return nn.relu(nn.Dense(self.width)(x))


def initialised(model, inputs):
    return model, model.init(jax.random.key(0), inputs)


def scanned(layer, **options):
    """A layer under nn.scan over depth."""
    axes = {"params": 0, "intermediates": 0}
    return nn.scan(layer, **{"variable_axes": axes, "split_rngs": {"params": True}, "length": 3, **options})


class Step(nn.Module):
    """A step of a scan over depth, which sows the activation of its function."""

    @nn.compact
    def __call__(self, x, _):
        x = nn.gelu(nn.Dense(6)(x))
        self.sow("intermediates", "gelu", x)
        return x, None


def running(function):
    """A model of one compact call."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            return function(x)

    return Model()
