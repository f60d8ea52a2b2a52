import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from laya_jax import ConcatHead, LastLayerHead, LayaHead, ScalarMixHead
from laya_jax.functional import laya_shapes
from laya_jax.parameters import parameter_count

WIDTHS = (12, 8, 6)
HEADS = {
    "laya": LayaHead(num_classes=5, dim=7),
    "laya_mlp": LayaHead(num_classes=5, dim=7, temperature=0.5, psi="mlp", scorer_width=9),
    "laya_normalized": LayaHead(num_classes=5, dim=7, rms_normalized=True),
    "laya_heads": LayaHead(num_classes=5, dim=6, attention_heads=3, layer_normalized=True),
    "scalar_mix": ScalarMixHead(num_classes=5, dim=7),
    "concat": ConcatHead(num_classes=5, dim=7),
    "last_layer": LastLayerHead(num_classes=5),
}
ADDITIVE = [name for name in HEADS if name != "concat"]


def randomised(head, hidden_states, seed=0):
    """Variables of a head with every number drawn, so that no bias or score stays at zero."""
    draw = np.random.default_rng(seed)
    shapes = jax.eval_shape(head.init, jax.random.key(0), hidden_states)
    return jax.tree.map(lambda leaf: jnp.asarray(0.4 * draw.normal(size=leaf.shape), leaf.dtype), shapes)


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


def test_initial_values_are_glorot_uniform_and_zero(make_hidden_states):
    head, hidden_states = LayaHead(num_classes=5, dim=64), make_hidden_states([128, 96])
    parameters = head.init(jax.random.key(0), hidden_states)["params"]
    limit = math.sqrt(6 / (128 + 64))
    kernel = parameters["adapter_0"]["kernel"]
    assert 0.95 * limit < jnp.abs(kernel).max() <= limit
    np.testing.assert_allclose(kernel.std(), limit / math.sqrt(3), rtol=0.05)
    assert not parameters["adapter_0"]["bias"].any()


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


@pytest.mark.parametrize("name", HEADS)
def test_one_stacked_array_gives_what_the_sequence_gives(make_hidden_states, name):
    hidden_states = make_hidden_states([8] * 12)
    variables = randomised(HEADS[name], hidden_states)
    stacked = jnp.stack(hidden_states)
    initial = HEADS[name].init(jax.random.key(0), stacked)
    jax.tree.map(np.testing.assert_array_equal, initial, HEADS[name].init(jax.random.key(0), hidden_states))
    outputs = (HEADS[name].apply(variables, states) for states in (stacked, hidden_states))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *outputs)


@pytest.mark.parametrize("name", HEADS)
def test_numpy_arrays_serve_as_hidden_states(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS[name], hidden_states)
    arrays = [np.asarray(state) for state in hidden_states]
    outputs = (HEADS[name].apply(variables, states) for states in (hidden_states, arrays))
    jax.tree.map(np.testing.assert_array_equal, *outputs)


def test_rms_normalisation_makes_attention_blind_to_the_scale_of_an_adapter(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    for name, blind in (("laya_normalized", True), ("laya", False)):
        parameters = dict(randomised(HEADS[name], hidden_states)["params"])
        before = HEADS[name].apply({"params": parameters}, hidden_states)
        for scale in (1e2, 1e-6, 1e20):
            scaled = jax.tree.map(lambda leaf, scale=scale: scale * leaf, parameters["adapter_0"])
            after = HEADS[name].apply({"params": {**parameters, "adapter_0": scaled}}, hidden_states)
            assert np.allclose(after.attention, before.attention, atol=1e-4) is blind


# Masks


@pytest.mark.parametrize("name", ["laya", "laya_mlp", "scalar_mix"])
def test_static_and_per_sample_masks_zero_and_renormalise(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    head, mask = HEADS[name], np.array([True, False, True])
    variables = randomised(head, hidden_states)
    kept = np.asarray(head.apply(variables, hidden_states).attention) * mask
    expected = kept / kept.sum(axis=1, keepdims=True)
    outputs = [
        head.apply(variables, hidden_states, mask),
        head.apply(variables, hidden_states, [True, False, True]),
        head.apply(variables, hidden_states, np.tile(mask, (4, 1))),
        head.clone(layer_mask=tuple(mask.tolist())).apply(variables, hidden_states),
        head.clone(layer_mask=(True, False, True)).apply(variables, hidden_states, np.ones((4, 3), bool)),
        jax.jit(head.apply)(variables, hidden_states, mask),
    ]
    for output in outputs:
        np.testing.assert_allclose(output.attention, expected, atol=1e-6)
        assert not output.attention[:, 1].any()
        assert not output.contributions[:, 1].any()


def test_masks_may_differ_between_samples(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS["laya"], hidden_states)
    mask = np.array([[True, False, False], [False, True, False], [False, False, True], [True, True, True]])
    attention = HEADS["laya"].apply(variables, hidden_states, mask).attention
    np.testing.assert_array_equal(attention[:3], np.eye(3))
    np.testing.assert_allclose(
        attention[3], HEADS["laya"].apply(variables, hidden_states).attention[3], atol=1e-7
    )


@pytest.mark.parametrize("name", ["concat", "scalar_mix"])
def test_without_a_scorer_a_masked_layer_may_hold_anything(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS[name], hidden_states)
    changed = (hidden_states[0], hidden_states[1] * jnp.nan, hidden_states[2])
    mask = [True, False, True]
    logits = [HEADS[name].apply(variables, s, mask).logits for s in (hidden_states, changed)]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("name", ADDITIVE)
def test_without_any_layer_under_jit_the_bias_is_left(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS[name], hidden_states)
    output = jax.jit(HEADS[name].apply)(variables, hidden_states, jnp.zeros((4, 3), bool))
    bias = np.tile(variables["params"]["classifier"]["bias"], (4, 1))
    np.testing.assert_allclose(output.logits, bias, atol=1e-7)


# Precision, gradients and transformations


@pytest.mark.parametrize("name", HEADS)
def test_bfloat16_stays_within_its_precision(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS, batch=64)
    variables = randomised(HEADS[name], hidden_states)
    exact = HEADS[name].apply(variables, hidden_states)
    rounded = HEADS[name].clone(dtype=jnp.bfloat16).apply(variables, hidden_states)
    assert rounded.logits.dtype == rounded.aggregate.dtype == jnp.bfloat16
    scale = float(jnp.abs(exact.logits).max())
    np.testing.assert_allclose(rounded.logits.astype("float32"), exact.logits, atol=0.03 * scale)
    if rounded.attention is not None:
        assert rounded.attention.dtype == jnp.float32
        np.testing.assert_allclose(rounded.attention.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(rounded.attention, exact.attention, atol=0.03)


def test_bfloat16_hidden_states_promote_to_the_parameters_dtype(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS, dtype="bfloat16")
    output, variables = HEADS["laya"].init_with_output(jax.random.key(0), hidden_states)
    assert output.logits.dtype == jnp.float32
    assert variables["params"]["adapter_0"]["kernel"].dtype == jnp.float32


@pytest.mark.parametrize("name", HEADS)
def test_gradients_agree_with_finite_differences(name):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), len(WIDTHS))
        hidden_states = [
            jax.random.normal(key, (3, width), "float64") for key, width in zip(keys, WIDTHS, strict=True)
        ]
        head = HEADS[name].clone(param_dtype=jnp.float64)
        variables = randomised(head, hidden_states)

        def loss(variables, hidden_states):
            output = head.apply(variables, hidden_states)
            attention = 0.0 if output.attention is None else jnp.sum(output.attention**3)
            return jnp.sum(jax.nn.log_softmax(output.logits)[:, 0]) + attention

        check_grads(loss, (variables, hidden_states), order=1, modes=["rev", "fwd"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_jit_remat_and_grad_change_nothing(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    head = HEADS[name]
    variables = randomised(head, hidden_states)

    def loss(apply, variables):
        return jnp.sum(jax.nn.log_softmax(apply(variables, hidden_states).logits)[:, 1])

    plain = jax.grad(loss, argnums=1)(head.apply, variables)
    for apply in (jax.jit(head.apply), jax.checkpoint(head.apply)):
        other = jax.grad(loss, argnums=1)(apply, variables)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), plain, other)


@pytest.mark.parametrize("name", HEADS)
def test_vmap_over_seeds_gives_what_each_seed_gives(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    keys = jax.random.split(jax.random.key(3), 3)
    variables = jax.vmap(HEADS[name].init, (0, None))(keys, hidden_states)
    logits = jax.vmap(lambda v: HEADS[name].apply(v, hidden_states).logits)(variables)
    for i, key in enumerate(keys):
        expected = HEADS[name].apply(HEADS[name].init(key, hidden_states), hidden_states).logits
        np.testing.assert_allclose(logits[i], expected, atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_a_scan_over_batches_gives_what_each_batch_gives(make_hidden_states, name):
    batches = [make_hidden_states(WIDTHS, seed=seed) for seed in range(3)]
    variables = randomised(HEADS[name], batches[0])
    stacked = jax.tree.map(lambda *states: jnp.stack(states), *batches)
    _, logits = jax.lax.scan(lambda _, h: (None, HEADS[name].apply(variables, h).logits), None, stacked)
    for i, batch in enumerate(batches):
        np.testing.assert_allclose(logits[i], HEADS[name].apply(variables, batch).logits, atol=1e-5)


def test_a_scan_over_the_depth_of_a_model_feeds_the_head(make_hidden_states):
    (state,) = make_hidden_states([8])
    kernels = jax.random.normal(jax.random.key(1), (12, 8, 8)) / 3

    def layer(state, kernel):
        state = jnp.tanh(state @ kernel)
        return state, state

    _, stacked = jax.lax.scan(layer, state, kernels)
    output, _ = HEADS["laya"].init_with_output(jax.random.key(0), stacked)
    assert output.attention.shape == (4, 12)


@pytest.mark.parametrize("axis_type", [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit])
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_a_sharded_batch_gives_what_one_device_gives(make_hidden_states, name, stacked, axis_type):
    hidden_states = make_hidden_states((8, 8, 8), batch=16)
    variables = randomised(HEADS[name], hidden_states)
    expected = HEADS[name].apply(variables, hidden_states)
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(axis_type,))
    by_batch = jax.NamedSharding(mesh, jax.P("batch"))
    if stacked:
        hidden_states, by_batch = jnp.stack(hidden_states), jax.NamedSharding(mesh, jax.P(None, "batch"))
    with jax.set_mesh(mesh):
        output = jax.jit(HEADS[name].apply)(variables, jax.device_put(hidden_states, by_batch))
    for leaf, other in zip(jax.tree.leaves(output), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(leaf, other, atol=1e-5)
    assert output.logits.sharding.is_equivalent_to(jax.NamedSharding(mesh, jax.P("batch")), 2)


@pytest.mark.parametrize("name", HEADS)
def test_a_second_call_does_not_compile(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(HEADS[name], hidden_states)
    other_states = make_hidden_states(WIDTHS, seed=7)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    try:
        step = jax.jit(HEADS[name].apply)
        jax.block_until_ready(step(variables, hidden_states))
        assert compiled
        compiled.clear()
        jax.block_until_ready(step(variables, other_states))
        jax.block_until_ready(step(variables, hidden_states))
        assert not compiled
    finally:
        jax.monitoring.clear_event_listeners()


def test_twelve_layers_keep_their_order_under_jit(make_hidden_states):
    hidden_states = make_hidden_states([8] * 12)
    variables = randomised(HEADS["laya"], hidden_states)
    plain = HEADS["laya"].apply(variables, hidden_states).attention
    jitted = jax.jit(HEADS["laya"].apply)(jax.jit(lambda v: v)(variables), hidden_states).attention
    np.testing.assert_allclose(jitted, plain, atol=1e-6)


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


def test_attention_starts_uniform_where_that_is_asked_for(make_hidden_states):
    head = LayaHead(num_classes=5, dim=8, attention_heads=4, uniform_start=True)
    output, variables = head.init_with_output(jax.random.key(0), make_hidden_states(WIDTHS))
    np.testing.assert_allclose(output.attention, np.full((4, 3), 1 / 3), atol=1e-6)
    assert variables["params"]["scorer_output"]["kernel"].shape == (8, 12)
    assert np.any(variables["params"]["scorer_hidden"]["kernel"])


@pytest.mark.parametrize("kind", [LayaHead, ScalarMixHead, ConcatHead, LastLayerHead])
def test_normalised_layers_are_read_alike_at_any_scale(make_hidden_states, kind):
    head = kind(num_classes=5, layer_normalized=True, **({} if kind is LastLayerHead else {"dim": 6}))
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(head, hidden_states)
    scaled = [state * 10.0**i + i for i, state in enumerate(hidden_states)]
    logits = head.apply(variables, hidden_states).logits
    np.testing.assert_allclose(head.apply(variables, scaled).logits, logits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [LayaHead, ScalarMixHead, ConcatHead])
def test_dropout_is_random_in_training_only_and_right_on_average(make_hidden_states, kind):
    head = kind(num_classes=3, dim=6, dropout=0.3)
    hidden_states = make_hidden_states(WIDTHS)
    variables = randomised(head, hidden_states)
    still = head.apply(variables, hidden_states)

    def train(seed):
        rngs = {"dropout": jax.random.key(seed)}
        return head.apply(variables, hidden_states, deterministic=False, rngs=rngs)

    np.testing.assert_array_equal(train(0).logits, train(0).logits)
    assert np.any(train(0).logits != train(1).logits)
    if kind is ScalarMixHead:  # the others are not linear
        mean = np.mean([train(seed).logits for seed in range(400)], axis=0)
        np.testing.assert_allclose(mean, still.logits, atol=0.15)
    with pytest.raises(ValueError, match=r"dropout is 1\.0, expected"):
        kind(num_classes=3, dim=6, dropout=1.0)


def test_layer_dropout_masks_layers_but_never_all_and_never_adds_one(make_hidden_states):
    head = LayaHead(num_classes=3, dim=6, layer_dropout=0.9)
    hidden_states = make_hidden_states(WIDTHS, batch=200)
    variables, mask = randomised(head, hidden_states), jnp.array([True, False, True])
    rngs = {"dropout": jax.random.key(0)}
    output = head.apply(variables, hidden_states, mask, deterministic=False, rngs=rngs)
    kept = np.asarray(output.attention) > 0
    np.testing.assert_allclose(output.attention.sum(axis=1), np.ones(200), atol=1e-6)
    assert not kept[:, 1].any()
    assert 0 < np.mean(kept.sum(axis=1) == 1) < 1
    still = head.apply(variables, hidden_states, mask)
    assert np.all(np.asarray(still.attention)[:, [0, 2]] > 0)


def test_attention_heads_have_to_divide_the_width():
    with pytest.raises(ValueError, match="attention_heads is 4, expected a divisor of dim, 6"):
        LayaHead(num_classes=3, dim=6, attention_heads=4)
