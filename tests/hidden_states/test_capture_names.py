"""Names of what a model runs: layers, other methods, and values that layers sow."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from small_layers import IMAGES, Block, initialised

from laya_jax import capture, layer_names


class Heir(Block):
    """Calls what it overrides, which is no second call."""

    @nn.compact
    def __call__(self, x):
        return super().__call__(x) + 1


class Coder(nn.Module):
    """Runs by other methods than ``__call__``, and helps itself."""

    def setup(self):
        self.dense = nn.Dense(6)

    def encode(self, x):
        return self.helper(self.dense(x))

    def helper(self, x):
        return nn.relu(x)

    def __call__(self, x):
        return self.encode(x) + 1


class Coders(nn.Module):
    methods: tuple[str, ...]

    @nn.compact
    def __call__(self, x):
        for i in range(2):
            block = Coder(name=f"block_{i}")
            for method in self.methods:
                x = getattr(block, method)(x)
        return x


class Sowing(nn.Module):
    """Sows activations of functions: one twice, one that replaces the one before, one as a perturbation."""

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.gelu(nn.Dense(6)(x))
            self.sow("intermediates", "gelu", x)
            self.sow("intermediates", "last", x, reduce_fn=lambda _, new: new, init_fn=lambda: None)
        return self.perturb("perturbed", x + 1)


class SowingTwice(nn.Module):
    @nn.compact
    def __call__(self, x):
        for i in range(2):
            x = Sowing(name=f"block_{i}")(x)
        self.sow("intermediates", "top", x)
        return x


def test_a_call_of_super_is_no_call_of_a_layer():
    model = nn.Sequential([Heir(6), Heir(6)])
    variables = model.init(jax.random.key(0), IMAGES)
    captured = capture(model, variables, IMAGES, layers="layers_*")
    np.testing.assert_array_equal(captured[1], model.apply(variables, IMAGES))
    assert len(captured) == 2


@pytest.mark.parametrize(
    ("methods", "layers", "names"),
    [
        (("encode",), "block_*", ("block_0.encode", "block_1.encode")),
        (("encode",), "block_1", ("block_1.encode",)),
        (("encode",), "block_*.encode", ("block_0.encode", "block_1.encode")),
        (("encode", "__call__"), "block_*", ("block_0", "block_1")),
        (("encode", "__call__"), ["*.encode", "block_1"], ("block_0.encode", "block_1.encode", "block_1")),
        (("encode", "helper"), "block_0", ("block_0.encode", "block_0.helper")),
    ],
)
def test_a_layer_that_runs_by_another_method(methods, layers, names):
    model, variables = initialised(Coders(methods), IMAGES)
    assert set(names) <= set(layer_names(model, variables, IMAGES))
    by_name = [capture(model, variables, IMAGES, layers=name)[0] for name in names]
    captured = capture(model, variables, IMAGES, layers=layers)
    jax.tree.map(np.testing.assert_array_equal, tuple(by_name), captured)


def test_a_method_has_the_value_that_it_returned():
    model, variables = initialised(Coders(("encode",)), IMAGES)
    captured = capture(model, variables, IMAGES, layers="block_*")
    expected = [Coder().apply({"params": variables["params"]["block_0"]}, IMAGES, method="encode")]
    expected.append(model.apply(variables, IMAGES))
    jax.tree.map(np.testing.assert_array_equal, captured, tuple(expected))


def test_helpers_are_not_listed():
    assert layer_names(*initialised(Coders(("__call__",)), IMAGES), IMAGES) == (
        *("block_0/dense", "block_0"),
        *("block_1/dense", "block_1"),
    )


def test_sown_values_come_where_they_are_sown():
    model, variables = initialised(SowingTwice(), IMAGES)
    inside = ("Dense_0", "gelu", "last", "Dense_1", "perturbed")
    expected = [f"block_{i}/{name}" for i in range(2) for name in inside]
    expected = [*expected[:5], "block_0", *expected[5:], "block_1", "top"]
    assert layer_names(model, variables, IMAGES) == tuple(expected)
    sown = capture(model, variables, IMAGES, layers="gelu")
    by_hand = capture(model, variables, IMAGES, layers="*/Dense_*", output=nn.gelu)
    jax.tree.map(np.testing.assert_array_equal, sown, by_hand)
    last = capture(model, variables, IMAGES, layers="block_*/last")
    jax.tree.map(np.testing.assert_array_equal, last, sown[1::2])
    perturbed = capture(model, variables, IMAGES, layers="perturbed")
    jax.tree.map(np.testing.assert_array_equal, perturbed, tuple(state + 1 for state in last))
    np.testing.assert_array_equal(
        capture(model, variables, IMAGES, layers="top")[0], model.apply(variables, IMAGES)
    )


def test_what_is_sown_reaches_the_user_as_before():
    model, variables = initialised(SowingTwice(), IMAGES)
    _, state = model.apply(variables, IMAGES, mutable=["intermediates"])
    (top,) = state["intermediates"]["top"]
    np.testing.assert_array_equal(capture(model, variables, IMAGES, layers="top")[0], top)


def test_another_method_of_the_model_itself():
    model, variables = initialised(Coders(("__call__",)), IMAGES)
    inner = Coder()
    parameters = {"params": variables["params"]["block_0"]}
    for method in ("encode", Coder.encode, inner.encode):
        (state,) = capture(inner, parameters, IMAGES, layers="dense", method=method)
        assert layer_names(inner, parameters, IMAGES, method=method) == ("dense",)
        np.testing.assert_array_equal(state, capture(model, variables, IMAGES, layers="block_0/dense")[0])


def test_a_lifted_function_is_no_method_even_under_the_name_of_one():
    class Lifting(nn.Module):
        @nn.compact
        def __call__(self, x):
            def encode(coder, x):
                return coder(x) * 2

            return nn.remat(encode)(Coder(name="block"), x)

    model, variables = initialised(Lifting(), IMAGES)
    assert layer_names(model, variables, IMAGES) == ("block/dense", "block")
    (state,) = capture(model, variables, IMAGES, layers="block")
    np.testing.assert_allclose(2 * state, model.apply(variables, IMAGES), atol=1e-6)
