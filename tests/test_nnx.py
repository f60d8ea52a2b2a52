import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import laya_jax
from laya_jax import nnx as laya_nnx

WIDTHS = (12, 8, 6)
PAIRS = {
    "laya": (laya_jax.LayaHead, laya_nnx.LayaHead, {"num_classes": 5, "dim": 7}),
    "laya_mlp": (
        laya_jax.LayaHead,
        laya_nnx.LayaHead,
        {"num_classes": 5, "dim": 7, "psi": "mlp", "temperature": 0.5, "rms_normalized": True},
    ),
    "scalar_mix": (laya_jax.ScalarMixHead, laya_nnx.ScalarMixHead, {"num_classes": 5, "dim": 7}),
    "concat": (laya_jax.ConcatHead, laya_nnx.ConcatHead, {"num_classes": 5, "dim": 7}),
    "last_layer": (laya_jax.LastLayerHead, laya_nnx.LastLayerHead, {"num_classes": 5}),
}


@pytest.fixture(params=PAIRS)
def pair(request):
    linen, made, settings = PAIRS[request.param]
    return linen(**settings), made(WIDTHS, **settings, rngs=nnx.Rngs(0))


def assert_equal_outputs(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), one, other)


def test_parameters_go_from_nnx_to_linen(make_hidden_states, pair):
    linen, head = pair
    hidden_states = make_hidden_states(WIDTHS)
    assert_equal_outputs(
        linen.apply({"params": laya_nnx.linen_parameters(head)}, hidden_states), head(hidden_states)
    )


def test_parameters_go_from_linen_to_nnx_and_back(make_hidden_states, pair):
    linen, head = pair
    hidden_states = make_hidden_states(WIDTHS)
    variables = linen.init(jax.random.key(9), hidden_states)
    laya_nnx.load_linen_parameters(head, variables["params"])
    assert_equal_outputs(head(hidden_states), linen.apply(variables, hidden_states))
    jax.tree.map(np.testing.assert_array_equal, laya_nnx.linen_parameters(head), variables["params"])


def test_parameters_that_do_not_fit_are_named(pair):
    linen, head = pair
    parameters = linen.init(jax.random.key(0), [jnp.ones((1, width)) for width in (12, 8, 9)])["params"]
    with pytest.raises(ValueError, match=r"/kernel has shape \(9, \d\), expected \(6, \d\)"):
        laya_nnx.load_linen_parameters(head, parameters)
    with pytest.raises(ValueError, match="classifier/kernel is missing"):
        laya_nnx.load_linen_parameters(head, {})


def test_masks_are_those_of_linen(make_hidden_states):
    hidden_states, mask = make_hidden_states(WIDTHS), (True, False, True)
    head = laya_nnx.LayaHead(WIDTHS, 5, 7, layer_mask=mask, rngs=nnx.Rngs(0))
    static = head(hidden_states).attention
    assert not static[:, 1].any()
    other = laya_nnx.LayaHead(WIDTHS, 5, 7, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(static, other(hidden_states, mask).attention, atol=1e-7)


def test_a_stacked_array_serves(make_hidden_states):
    hidden_states = make_hidden_states([8] * 12)
    head = laya_nnx.LayaHead([8] * 12, 5, 7, rngs=nnx.Rngs(0))
    assert_equal_outputs(head(jnp.stack(hidden_states)), head(hidden_states))


def test_it_trains_under_nnx_jit_and_does_not_compile_again(make_hidden_states, pair):
    _, head = pair
    hidden_states, labels = make_hidden_states(WIDTHS, batch=16), jnp.arange(16) % 5
    optimizer = nnx.Optimizer(head, optax.adam(0.05), wrt=nnx.Param)
    traces = []

    @nnx.jit
    def step(head, optimizer):
        traces.append(1)

        def loss(head):
            return optax.softmax_cross_entropy_with_integer_labels(head(hidden_states).logits, labels).mean()

        value, gradients = nnx.value_and_grad(loss)(head)
        optimizer.update(head, gradients)
        return value

    losses = [float(step(head, optimizer)) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"psi": "mpl"}, "psi is 'mpl'"),
        ({"dim": 0}, "dim is 0"),
        ({"widths": ()}, "widths is empty"),
        ({"widths": (3, 0)}, r"widths\[1\] is 0"),
    ],
)
def test_wrong_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        laya_nnx.LayaHead(**{"widths": (3, 4), "num_classes": 5, "dim": 7, "rngs": nnx.Rngs(0), **arguments})


def test_other_hidden_states_than_it_was_made_for_are_named(make_hidden_states, pair):
    _, head = pair
    with pytest.raises(ValueError, match=r"widths \(12, 8\), but the head was made for \(12, 8, 6\)"):
        head(make_hidden_states((12, 8)))
    with pytest.raises(TypeError, match="dtype int32"):
        head([jnp.zeros((2, width), "int32") for width in WIDTHS])


# Capture


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


class Scanned(nnx.Module):
    def __init__(self, rngs):
        make = nnx.vmap(lambda rngs: Block(6, rngs), in_axes=(0,), out_axes=0)
        self.layers = nnx.split_rngs(splits=3)(make)(rngs)

    def __call__(self, x):
        scan = nnx.scan(lambda x, layer: layer(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        return scan(x, self.layers)


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


@pytest.mark.parametrize("jit", [False, True])
def test_a_scan_over_layers_comes_as_one_stacked_array(jit):
    model, tokens = Scanned(nnx.Rngs(0)), np.tile(IMAGES[:, None], (1, 5, 1))

    def states(tokens):
        return laya_nnx.capture(model, tokens, layers="layers", pooling="mean")

    stacked = (jax.jit(states) if jit else states)(tokens)
    assert stacked.shape == (3, 4, 6)
    np.testing.assert_allclose(stacked[-1], model(tokens).mean(axis=1), atol=1e-6)


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


def test_loaded_parameters_take_the_dtype_of_the_head_and_lose_their_boxes(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    boxed = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
    linen = laya_jax.LayaHead(num_classes=5, dim=7, kernel_init=boxed)
    parameters = linen.init(jax.random.key(0), hidden_states)["params"]
    head = laya_nnx.LayaHead(WIDTHS, 5, 7, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    laya_nnx.load_linen_parameters(head, parameters)
    assert {leaf.dtype for leaf in jax.tree.leaves(laya_nnx.linen_parameters(head))} == {
        jnp.dtype("bfloat16")
    }


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
