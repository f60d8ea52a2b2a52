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
