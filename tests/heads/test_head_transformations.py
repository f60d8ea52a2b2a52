"""Heads under dtypes, stacking and the transformations of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from precisions import precisions_on_tpu
from small_heads import HEADS, WIDTHS, randomised


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_bfloat16_stays_within_its_precision(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS, batch=64)
    variables = randomised(HEADS[name], hidden_states)
    half = HEADS[name].clone(dtype=jnp.bfloat16)
    exact, rounded = (jax.jit(head.apply)(variables, hidden_states) for head in (HEADS[name], half))
    assert rounded.logits.dtype == rounded.aggregate.dtype == jnp.bfloat16
    scale = float(jnp.abs(exact.logits).max())
    np.testing.assert_allclose(rounded.logits.astype("float32"), exact.logits, atol=0.03 * scale)
    if rounded.attention is not None:
        assert rounded.attention.dtype == jnp.float32
        np.testing.assert_allclose(rounded.attention.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(rounded.attention, exact.attention, atol=0.03)


def test_logits_are_as_exact_on_a_tpu_as_the_contributions_that_they_split_into(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS)
    for name, exact in (("laya", ["mix", "classifier"]), ("last_layer", ["classifier"])):
        variables = randomised(HEADS[name], hidden_states)
        precisions = precisions_on_tpu(
            lambda *arguments, name=name: HEADS[name].apply(*arguments).logits, variables, hidden_states
        )
        assert precisions.count("HIGHEST") == len(exact)


def test_bfloat16_hidden_states_promote_to_the_parameters_dtype(make_hidden_states):
    hidden_states = make_hidden_states(WIDTHS, dtype="bfloat16")
    output, variables = HEADS["laya"].init_with_output(jax.random.key(0), hidden_states)
    assert output.logits.dtype == jnp.float32
    assert variables["params"]["adapter_0"]["kernel"].dtype == jnp.float32


@pytest.mark.slow
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

        check_grads(
            jax.jit(loss), (variables, hidden_states), order=1, modes=["rev", "fwd"], atol=1e-5, rtol=1e-5
        )


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_vmap_over_seeds_gives_what_each_seed_gives(make_hidden_states, name):
    hidden_states = make_hidden_states(WIDTHS)
    keys = jax.random.split(jax.random.key(3), 3)
    variables = jax.jit(jax.vmap(HEADS[name].init, (0, None)))(keys, hidden_states)
    logits = jax.jit(jax.vmap(lambda v: HEADS[name].apply(v, hidden_states).logits))(variables)

    @jax.jit
    def alone(key):
        return HEADS[name].apply(HEADS[name].init(key, hidden_states), hidden_states).logits

    for i, key in enumerate(keys):
        np.testing.assert_allclose(logits[i], alone(key), atol=1e-5)


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


@pytest.mark.slow
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
