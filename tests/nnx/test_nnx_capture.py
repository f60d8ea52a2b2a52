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


class Heir(Block):
    """Inherits its ``__call__``, which nnx.capture by itself passes over."""


class Caller(Block):
    """Calls the ``__call__`` it overrides, which is no second layer."""

    def __call__(self, x):
        return super().__call__(x)


class Deep(nnx.Module):
    def __init__(self, rngs, depth=12, block=Block):
        self.embed = nnx.Linear(6, 8, rngs=rngs)
        self.blocks = nnx.List([block(8, rngs) for _ in range(depth)])
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.dropout(x)

    def states(self, x):
        states = [self.embed(x)]
        for block in self.blocks:
            states.append(block(states[-1]))
        return states[1:]


@pytest.fixture
def deep():
    return Deep(nnx.Rngs(0))


IMAGES = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


@pytest.mark.parametrize("block", [Block, Heir, Caller])
def test_capture_returns_twelve_blocks_in_natural_order(block):
    deep = Deep(nnx.Rngs(0), block=block)
    states = laya_nnx.capture(deep, IMAGES, layers="blocks/*")
    assert len(states) == 12
    for state, expected in zip(states, deep.states(IMAGES), strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-6)
    assert "__call__" not in vars(Heir)


class WithTeacher(nnx.Module):
    """Calls a module of a class it is made of that is no part of it."""

    def __init__(self, rngs):
        self.student = Block(6, rngs)

    def __call__(self, x):
        return self.student(x) + TEACHER(x)


TEACHER = Block(6, nnx.Rngs(1))


@pytest.mark.parametrize("jit", [False, True])
def test_only_what_belongs_to_the_model_is_captured(jit):
    model = WithTeacher(nnx.Rngs(0))

    def states(images):
        return laya_nnx.capture(model, images, layers="student")

    (state,) = (jax.jit(states) if jit else states)(IMAGES)
    np.testing.assert_allclose(state, model.student(IMAGES), atol=1e-6)
    assert vars(TEACHER).keys() == vars(model.student).keys()


def test_an_index_means_that_layer_only():
    class Outer(Block):
        def __init__(self, rngs):
            super().__init__(6, rngs)
            self.a = Block(6, rngs)

        def __call__(self, x):
            return self.linear(self.a(x))

    model = Outer(nnx.Rngs(0))
    assert laya_nnx.layer_names(model, IMAGES) == ("a", "a/linear", "linear")
    for layers in (2, "linear"):
        (state,) = laya_nnx.capture(model, IMAGES, layers=layers)
        np.testing.assert_allclose(state, model(IMAGES), atol=1e-6)


def test_capture_under_jit_by_index_and_in_the_order_asked_for(deep):
    expected = deep.states(IMAGES)

    @jax.jit
    def states(images):
        return laya_nnx.capture(deep, images, layers=["blocks/10", "blocks/2", 0])

    for state, index in zip(states(IMAGES), (10, 2, 0), strict=True):
        np.testing.assert_allclose(state, expected[index], atol=1e-6)


def test_layer_names(deep):
    names = laya_nnx.layer_names(deep, IMAGES)
    assert names[:4] == ("blocks/0", "blocks/0/linear", "blocks/1", "blocks/1/linear")
    assert names[-2:] == ("dropout", "embed")
    assert names.index("blocks/2") < names.index("blocks/10")


def test_capture_leaves_the_model_as_it_is(deep):
    def numbers():
        return nnx.to_pure_dict(nnx.state(deep, (nnx.Param, nnx.RngCount)))

    before = jax.tree.map(np.array, numbers())
    laya_nnx.capture(deep, IMAGES, layers="blocks/*")
    jax.tree.map(np.testing.assert_array_equal, before, numbers())
    assert not any(hasattr(module, "__captures__") for _, module in nnx.iter_modules(deep))


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_backbone_gets_no_gradient(deep, frozen):
    head = laya_nnx.LayaHead([8] * 12, 3, 4, rngs=nnx.Rngs(1))

    def loss(deep, head):
        states = laya_nnx.capture(deep, IMAGES, layers="blocks/*", frozen=frozen)
        return jnp.sum(head(states).logits ** 2)

    of_backbone, of_head = nnx.grad(loss, argnums=(0, 1))(deep, head)
    assert any(leaf.any() for leaf in jax.tree.leaves(of_head))
    assert any(leaf.any() for leaf in jax.tree.leaves(nnx.to_pure_dict(of_backbone))) is not frozen


def test_a_miss_lists_the_layers(deep):
    with pytest.raises(
        ValueError,
        match=r"'block_\*', but no layer that returns an array matches it; there are: blocks/0, ",
    ):
        laya_nnx.capture(deep, IMAGES, layers="block_*")
    with pytest.raises(ValueError, match="index 99, but there are 26 layers"):
        laya_nnx.capture(deep, IMAGES, layers=99)
    with pytest.raises(ValueError, match="pooling is 'average'"):
        laya_nnx.capture(deep, IMAGES, layers="blocks/*", pooling="average")


class Sowing(nnx.Module):
    """Sows activations of functions, runs by another method, and returns its cache first."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(6, 6, rngs=rngs)

    def encode(self, x):
        return self.helper(self.linear(x))

    def helper(self, x):
        x = nnx.gelu(x)
        self.sow(nnx.Intermediate, "gelu", x)
        for value in (x, x + 1):
            self.sow(nnx.Intermediate, "last", value, reduce_fn=lambda _, new: new, init_fn=lambda: None)
        return {"cache": x, "x": self.perturb("perturbed", x + 2)}

    def __call__(self, x):
        return self.encode(x)


class SowingTwice(nnx.Module):
    def __init__(self, method):
        self.blocks, self.method = nnx.List([Sowing(nnx.Rngs(i)) for i in range(2)]), method

    def __call__(self, x):
        for block in self.blocks:
            x = getattr(block, self.method)(x)["x"]
        self.sow(nnx.Intermediate, "top", x)
        return x


@pytest.mark.parametrize("method", ["encode", "__call__"])
def test_sown_values_methods_and_outputs(method):
    model = SowingTwice(method)
    suffix = "" if method == "__call__" else ".encode"
    names = [
        f"blocks/{i}{name}" for i in range(2) for name in (suffix, "/gelu", "/last", "/linear", "/perturbed")
    ]
    assert set(laya_nnx.layer_names(model, IMAGES)) == {*names, "top"}
    sown = laya_nnx.capture(model, IMAGES, layers="gelu")
    by_hand = laya_nnx.capture(model, IMAGES, layers="linear", output=nnx.gelu)
    jax.tree.map(np.testing.assert_array_equal, sown, by_hand)
    for layers, more, output in (
        ("last", 1, None),
        ("perturbed", 2, None),
        ("blocks/*", 2, "x"),
        ("top", 2, None),
    ):
        states = laya_nnx.capture(model, IMAGES, layers=layers, output=output)
        for state, expected in zip(states[::-1], sown[::-1], strict=False):
            np.testing.assert_array_equal(state, expected + more)
    with pytest.raises(ValueError, match=rf"'blocks/0{suffix}' returns .*output='cache', output='x', or"):
        laya_nnx.capture(model, IMAGES, layers="blocks/*")
    assert "sow" not in vars(Sowing)
    assert Sowing.helper.__name__ == "helper"
    assert not hasattr(Sowing.helper, "__wrapped__")


def test_names_need_shapes_only():
    model = nnx.eval_shape(lambda: Deep(nnx.Rngs(0), depth=1))
    names = laya_nnx.layer_names(model, jax.ShapeDtypeStruct(IMAGES.shape, IMAGES.dtype))
    assert names == ("blocks/0", "blocks/0/linear", "dropout", "embed")
