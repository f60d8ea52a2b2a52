"""What the heads compute, against the paper and NumPy."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_heads import ADDITIVE, HEADS, WIDTHS, randomised

from laya_jax import LayaHead
from laya_jax.heads.functional import laya_shapes
from laya_jax.heads.parameters import parameter_count


def laya_by_hand(parameters, hidden_states, temperature, psi):
    """LAYA in NumPy and double precision, sample by sample, as the paper writes it."""
    erf = np.vectorize(math.erf)

    def dense(name, x):
        return x @ np.asarray(parameters[name]["kernel"], np.float64) + np.asarray(parameters[name]["bias"])

    def exact_gelu(x):
        return x * (1 + erf(x / math.sqrt(2))) / 2

    logits, attention = [], []
    for sample in zip(*(np.asarray(state, np.float64) for state in hidden_states), strict=True):
        z = [dense(f"adapter_{i}", state) for i, state in enumerate(sample)]
        u = np.stack(z)
        if psi == "mlp":
            u = exact_gelu(dense("psi_1", exact_gelu(dense("psi_0", u))))
        scores = dense("scorer_output", exact_gelu(dense("scorer_hidden", u.reshape(-1))))
        weights = np.exp(scores / temperature) / np.exp(scores / temperature).sum()
        attention.append(weights)
        logits.append(dense("classifier", sum(w * each for w, each in zip(weights, z, strict=True))))
    return np.array(logits), np.array(attention)


@pytest.mark.parametrize(("psi", "temperature"), [("identity", 1.5), ("mlp", 0.7)])
def test_laya_is_what_the_paper_writes(make_hidden_states, psi, temperature):
    hidden_states = make_hidden_states(WIDTHS)
    head = LayaHead(num_classes=5, dim=7, temperature=temperature, psi=psi, scorer_width=11)
    variables = randomised(head, hidden_states)
    output = head.apply(variables, hidden_states)
    logits, attention = laya_by_hand(variables["params"], hidden_states, temperature, psi)
    np.testing.assert_allclose(output.logits, logits, atol=1e-5)
    np.testing.assert_allclose(output.attention, attention, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ADDITIVE)
def test_bias_and_contributions_sum_to_the_logits(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS, batch=32)
    variables = randomised(HEADS[name], hidden_states)
    output = HEADS[name].apply(variables, hidden_states)
    assert output.contributions.shape == (32, 3, 5)
    total = variables["params"]["classifier"]["bias"][None] + output.contributions.sum(axis=1)
    np.testing.assert_allclose(total, output.logits, atol=1e-5)
    np.testing.assert_allclose(output.attention.sum(axis=1), 1, atol=1e-6)


def test_one_layer_gets_all_attention_and_the_head_is_one_dense_map(make_hidden_states):
    hidden_states = make_hidden_states([12])
    head = HEADS["laya"]
    variables = randomised(head, hidden_states)
    adapter, classifier = variables["params"]["adapter_0"], variables["params"]["classifier"]
    output = head.apply(variables, hidden_states)
    np.testing.assert_array_equal(output.attention, np.ones((4, 1)))
    kernel = adapter["kernel"] @ classifier["kernel"]
    bias = adapter["bias"] @ classifier["kernel"] + classifier["bias"]
    np.testing.assert_allclose(output.logits, hidden_states[0] @ kernel + bias[None], atol=1e-5)


@pytest.mark.parametrize("psi", ["identity", "mlp"])
def test_permuting_layers_with_their_parameters_permutes_attention_and_nothing_else(make_hidden_states, psi):
    hidden_states, order = make_hidden_states(WIDTHS), np.array([2, 0, 1])
    head = LayaHead(num_classes=5, dim=7, psi=psi)
    parameters = randomised(head, hidden_states)["params"]
    permuted = dict(parameters)
    for to, origin in enumerate(order):
        permuted[f"adapter_{to}"] = parameters[f"adapter_{origin}"]
    hidden, last = parameters["scorer_hidden"], parameters["scorer_output"]
    kernel = hidden["kernel"].reshape(3, 7, -1)[order].reshape(21, -1)
    permuted["scorer_hidden"] = {"kernel": kernel, "bias": hidden["bias"]}
    permuted["scorer_output"] = {"kernel": last["kernel"][:, order], "bias": last["bias"][order]}
    before = head.apply({"params": parameters}, hidden_states)
    after = head.apply({"params": permuted}, [hidden_states[i] for i in order])
    np.testing.assert_allclose(after.attention, before.attention[:, order], atol=1e-6)
    np.testing.assert_allclose(after.contributions, before.contributions[:, order], atol=1e-5)
    np.testing.assert_allclose(after.logits, before.logits, atol=1e-5)
    np.testing.assert_allclose(after.aggregate, before.aggregate, atol=1e-5)


def test_equal_scores_give_the_scalar_mix_with_equal_weights(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    parameters = dict(randomised(HEADS["laya"], hidden_states)["params"])
    parameters["scorer_output"] = jax.tree.map(jnp.zeros_like, parameters["scorer_output"])
    shared = {name: value for name, value in parameters.items() if not name.startswith("scorer")}
    laya = HEADS["laya"].apply({"params": parameters}, hidden_states)
    mixed = HEADS["scalar_mix"].apply({"params": {**shared, "scores": jnp.zeros(3)}}, hidden_states)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), laya, mixed)
    np.testing.assert_allclose(mixed.attention, 1 / 3, atol=1e-7)


def test_scalar_mix_weighs_by_the_softmax_of_its_scores_alike_for_all(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS["scalar_mix"], hidden_states)
    attention = HEADS["scalar_mix"].apply(variables, hidden_states).attention
    expected = jax.nn.softmax(variables["params"]["scores"])
    np.testing.assert_allclose(attention, np.tile(expected, (4, 1)), rtol=1e-6)


def test_concat_by_hand(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS["concat"], hidden_states)
    p = jax.tree.map(np.asarray, variables["params"])

    def dense(name, x):
        return np.asarray(x) @ p[name]["kernel"] + p[name]["bias"]

    z = [dense(f"adapter_{i}", state) for i, state in enumerate(hidden_states)]
    hidden = nn.gelu(dense("hidden", np.concatenate(z, axis=1)), approximate=False)
    output = HEADS["concat"].apply(variables, hidden_states)
    np.testing.assert_allclose(output.logits, dense("classifier", hidden), atol=1e-5)
    assert output.attention is None
    assert output.contributions is None


def test_last_layer_is_a_dense_layer_on_the_last_hidden_state(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS["last_layer"], hidden_states)
    output = HEADS["last_layer"].apply(variables, hidden_states)
    expected = nn.Dense(5).apply({"params": variables["params"]["classifier"]}, hidden_states[-1])
    np.testing.assert_allclose(output.logits, expected, atol=1e-6)
    np.testing.assert_array_equal(output.attention, np.tile([0, 0, 1], (4, 1)))
    np.testing.assert_array_equal(output.aggregate, hidden_states[-1])


@pytest.mark.parametrize(
    ("widths", "num_classes", "dim", "psi", "scorer_width", "expected"),
    [
        ((512, 256, 128), 10, 96, "identity", 192, 711_277 - 567_936),
        # sum d_i d* + L d*; psi 2 (d*^2 + d*); scorer L d* w + w + w L + L; classifier d* K + K
        ((3, 4), 2, 5, "mlp", None, (7 * 5 + 10) + 2 * 30 + (10 * 5 + 5 + 5 * 2 + 2) + 12),
    ],
)
def test_parameter_counts(widths, num_classes, dim, psi, scorer_width, expected):
    shapes = laya_shapes(widths, num_classes=num_classes, dim=dim, psi=psi, scorer_width=scorer_width)
    head = LayaHead(num_classes=num_classes, dim=dim, psi=psi, scorer_width=scorer_width)
    hidden_states = [jax.ShapeDtypeStruct((1, width), "float32") for width in widths]
    variables = jax.eval_shape(head.init, jax.random.key(0), hidden_states)
    assert parameter_count(shapes) == expected
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == expected


@pytest.mark.slow
def test_initial_values_are_glorot_uniform_and_zero(make_hidden_states):
    head, hidden_states = LayaHead(num_classes=5, dim=64), make_hidden_states([128, 96])
    parameters = head.init(jax.random.key(0), hidden_states)["params"]
    limit = math.sqrt(6 / (128 + 64))
    kernel = parameters["adapter_0"]["kernel"]
    assert 0.95 * limit < jnp.abs(kernel).max() <= limit
    np.testing.assert_allclose(kernel.std(), limit / math.sqrt(3), rtol=0.05)
    assert not parameters["adapter_0"]["bias"].any()


@pytest.mark.slow
def test_initialisers_and_parameter_dtype_are_used(make_hidden_states):
    head = LayaHead(
        num_classes=5,
        dim=7,
        kernel_init=nn.initializers.ones,
        bias_init=nn.initializers.constant(0.5),
        param_dtype=jnp.bfloat16,
    )
    parameters = head.init(jax.random.key(0), make_hidden_states(WIDTHS))["params"]
    for affine in parameters.values():
        assert affine["kernel"].dtype == affine["bias"].dtype == jnp.bfloat16
        assert (affine["kernel"] == 1).all()
        assert (affine["bias"] == 0.5).all()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_widths_depths_masks_and_temperatures(data):
    widths = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=13))
    mask = data.draw(st.lists(st.booleans(), min_size=len(widths), max_size=len(widths)).filter(any))
    head = LayaHead(
        num_classes=data.draw(st.integers(1, 4)),
        dim=2 * data.draw(st.integers(1, 3)),
        attention_heads=data.draw(st.sampled_from([1, 2])),
        layer_normalized=data.draw(st.booleans()),
        temperature=data.draw(st.floats(1e-6, 1e6)),
        psi=data.draw(st.sampled_from(["identity", "mlp"])),
        rms_normalized=data.draw(st.booleans()),
    )
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    hidden_states = [draw.normal(size=(3, width)).astype("float32") for width in widths]
    variables = randomised(head, hidden_states)
    output = jax.tree.map(np.asarray, jax.jit(head.apply)(variables, hidden_states, mask))
    np.testing.assert_allclose(output.attention.sum(axis=1), 1, atol=1e-6)
    assert not output.attention[:, ~np.array(mask)].any()
    total = np.asarray(variables["params"]["classifier"]["bias"]) + output.contributions.sum(axis=1)
    np.testing.assert_allclose(total, output.logits, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_a_batch_may_be_empty(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS, batch=0)
    output = HEADS[name].apply(randomised(HEADS[name], hidden_states), hidden_states)
    assert output.logits.shape == (0, 5)
