"""What a captured NNX model would change: itself, and the NNX objects among its inputs."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from laya_jax import nnx as laya_nnx


class Block(nnx.Module):
    def __init__(self, width, rngs):
        self.linear = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, x):
        return nn.relu(self.linear(x))


class Cache(nnx.Pytree):
    def __init__(self):
        self.sum, self.calls = nnx.Cache(jnp.zeros((4, 8))), nnx.Variable(jnp.zeros((), int))


class Stateful(nnx.Module):
    """Changes whatever it is given: caches, random state, metrics, a dict."""

    def __init__(self, rngs):
        self.blocks = nnx.List([Block(8, rngs) for _ in range(2)])
        self.dropout = nnx.Dropout(0.5)

    def __call__(self, x, caches, seen=None, rngs=None, metric=None):
        for i, (block, cache) in enumerate(zip(self.blocks, caches, strict=True)):
            cache.sum[...] += x
            cache.calls[...] += 1
            x = block(cache.sum[...])
            if seen is not None:
                seen[i] = x
        metric.update(values=x)
        return self.dropout(x, rngs=rngs)


def plain(*objects):
    def numbers(leaf):
        return np.array(
            jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        )

    return jax.tree.map(numbers, nnx.to_pure_dict(nnx.state(objects)))


@pytest.mark.parametrize("jit", [False, True])
def test_everything_among_the_inputs_is_left_as_it_is(jit):
    model, images = Stateful(nnx.Rngs(0)), np.ones((4, 8), "float32")
    caches, rngs, metric, seen = [Cache(), Cache()], nnx.Rngs(0), nnx.metrics.Average(), {}
    before = plain(*caches, rngs, metric)

    def states(images):
        layers = ["blocks/*", "dropout"]
        return laya_nnx.capture(model, images, caches, seen=seen, rngs=rngs, metric=metric, layers=layers)

    states = jax.jit(states) if jit else states
    first, second = states(images), states(images)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    jax.tree.map(np.testing.assert_array_equal, before, plain(*caches, rngs, metric))
    assert not seen
    np.testing.assert_allclose(first[0], model.blocks[0](images), atol=1e-6)
    names = laya_nnx.layer_names(model, images, tuple(caches), seen=seen, rngs=rngs, metric=metric)
    assert names == ("blocks/0", "blocks/0/linear", "blocks/1", "blocks/1/linear", "dropout")


def test_what_the_model_shares_with_an_input_stays_shared():
    class Owner(nnx.Module):
        def __init__(self):
            self.cache, self.block = Cache(), Block(8, nnx.Rngs(0))

        def __call__(self, x, cache):
            cache.sum[...] += 1
            return self.block(x + self.cache.sum[...])

    model, images = Owner(), np.ones((4, 8), "float32")
    (state,) = laya_nnx.capture(model, images, model.cache, layers="block")
    np.testing.assert_allclose(state, model.block(images + 1), atol=1e-6)
    assert laya_nnx.layer_names(model, images, cache=model.cache) == ("block", "block/linear")


@pytest.mark.slow
def test_decoding_and_batch_statistics_are_left_as_they_are():
    class Decoder(nnx.Module):
        def __init__(self, rngs):
            self.attention = nnx.MultiHeadAttention(2, 8, decode=True, rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)

        def __call__(self, x):
            return self.norm(self.attention(x))

    model = Decoder(nnx.Rngs(0))
    model.train()
    model.attention.init_cache((4, 3, 8))
    tokens = np.ones((4, 1, 8), "float32")
    before = plain(model)
    first, second = (laya_nnx.capture(model, tokens, layers=["attention", "norm"]) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    jax.tree.map(np.testing.assert_array_equal, before, plain(model))
