from functools import partial

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
    "laya_heads": (
        laya_jax.LayaHead,
        laya_nnx.LayaHead,
        {"num_classes": 5, "dim": 8, "attention_heads": 4, "layer_normalized": True},
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_dropout_is_random_where_rngs_are_given(make_hidden_states):
    head = laya_nnx.LayaHead(WIDTHS, num_classes=5, dim=8, dropout=0.5, uniform_start=True, rngs=nnx.Rngs(0))
    hidden_states, rngs = make_hidden_states(WIDTHS), nnx.Rngs(dropout=1)
    np.testing.assert_array_equal(head(hidden_states).logits, head(hidden_states).logits)
    same = head(hidden_states, rngs=rngs).logits  # as with nnx.Dropout, rngs alone make nothing random
    np.testing.assert_array_equal(same, head(hidden_states).logits)
    draw = partial(head, hidden_states, deterministic=False, rngs=rngs)
    first, second = draw().logits, draw().logits
    assert np.any(first != second)
    np.testing.assert_allclose(head(hidden_states).attention, np.full((4, 3), 1 / 3), atol=1e-6)


def test_dropout_is_random_after_train_and_not_after_eval(make_hidden_states):
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.head = laya_nnx.LayaHead(WIDTHS, num_classes=5, dim=8, layer_dropout=0.5, rngs=rngs)

    hidden_states, model = make_hidden_states(WIDTHS), Model(nnx.Rngs(0))
    predict = nnx.jit(lambda model: model.head(hidden_states).logits)
    np.testing.assert_array_equal(predict(model), predict(model))
    model.train()
    assert np.any(predict(model) != predict(model))
    model.eval()
    np.testing.assert_array_equal(predict(model), predict(model))
    assert set(laya_nnx.linen_parameters(model.head)) == set(model.head.settings.shapes(WIDTHS))
    model.train()
    np.testing.assert_array_equal(*(model.head(hidden_states, deterministic=True).logits for _ in range(2)))
    with pytest.raises(ValueError, match='rngs has the streams noise, expected "dropout" or "default"'):
        model.head(hidden_states, rngs=nnx.Rngs(noise=0))
    model = Model(nnx.Rngs(params=0))
    model.train()
    with pytest.raises(ValueError, match='rngs had no stream "dropout" when this head was made'):
        model.head(hidden_states)


def test_the_last_layer_head_needs_no_other_layer_to_be_what_it_was_made_for(make_hidden_states):
    head = laya_nnx.LastLayerHead(WIDTHS, 5, rngs=nnx.Rngs(0))
    assert head(make_hidden_states([3, 6])).attention.tolist() == [[0, 1]] * 4
    with pytest.raises(ValueError, match=r"hidden_states have widths \(3, 8\), but the head was made for"):
        head(make_hidden_states([3, 8]))
