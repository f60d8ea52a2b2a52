import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from laya_jax.engine.state import initial_state, make_adam, make_schedule
from laya_jax.training import OptimizerConfig


def step(config, parameters, gradient, total_steps=100):
    optimizer = make_adam(config, total_steps)
    state = initial_state(parameters, optimizer)
    updates, _ = optimizer.update(gradient, state.optimizer_state, parameters)
    return optax.apply_updates(parameters, updates)


def test_the_first_step_of_adam_is_the_closed_form():
    gradient = jnp.array([1e-7, -2.0, 0.0])
    moved = step(OptimizerConfig(learning_rate=0.1), jnp.zeros(3), gradient)
    # After bias correction m = g and v = g^2; the epsilon of 1e-7 halves the step of the first.
    assert np.allclose(moved, [-0.05, 0.1, 0.0], rtol=1e-3)


def test_weight_decay_leaves_biases_alone():
    parameters = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    moved = step(OptimizerConfig(learning_rate=0.1, weight_decay=0.5), parameters, zeros)
    assert np.allclose(moved["kernel"], 1 - 0.1 * 0.5)
    assert np.allclose(moved["bias"], 1)


def test_clipping_bounds_what_adam_sees():
    optimizer = make_adam(OptimizerConfig(clip_norm=1.0), 100)
    state = optimizer.init(jnp.zeros(2))
    _, state = optimizer.update(jnp.array([30.0, 40.0]), state, jnp.zeros(2))
    first_moment = optax.tree_utils.tree_get(state, "mu")
    assert np.allclose(first_moment, 0.1 * np.array([0.6, 0.8]))


@pytest.mark.parametrize(
    ("schedule", "warmup", "values"),
    [
        ("constant", 0, {0: 1.0, 50: 1.0, 100: 1.0}),
        ("constant", 10, {0: 0.0, 5: 0.5, 10: 1.0, 100: 1.0}),
        ("linear", 0, {0: 1.0, 50: 0.5, 100: 0.0}),
        ("cosine", 0, {0: 1.0, 50: 0.5, 100: 0.0}),
        ("cosine", 20, {0: 0.0, 20: 1.0, 60: 0.5, 100: 0.0}),
    ],
)
def test_the_learning_rate_runs_as_configured(schedule, warmup, values):
    config = OptimizerConfig(learning_rate=1.0, schedule=schedule, warmup_steps=warmup)
    rate = make_schedule(config, total_steps=100)
    for step_number, value in values.items():
        assert float(rate(step_number)) == pytest.approx(value, abs=1e-6)
