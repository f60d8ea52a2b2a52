import jax
import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax.backbones import BiLSTM
from laya_jax.backbones.lstm import LSTM, STEPS, Weights, recur

LENGTHS = (60, 1, 33, 17)
MODEL = BiLSTM(vocabulary_size=50, embedding_dim=8, widths=(6, 5))
APPLY = jax.jit(MODEL.apply)


def padded(length, side="right"):
    tokens = np.zeros((len(LENGTHS), length), "int32")
    draw = np.random.default_rng(0)
    for row, size in enumerate(LENGTHS):
        text = draw.integers(1, 50, size)
        tokens[row, slice(0, size) if side == "right" else slice(length - size, length)] = text
    return tokens


@pytest.fixture(scope="module")
def variables():
    return jax.jit(MODEL.init)(jax.random.key(0), padded(64))


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_changes_not_one_bit(variables, jit, side):
    apply = APPLY if jit else MODEL.apply
    expected = apply(variables, padded(64))
    for length in (61, 128, 512):
        jax.tree.map(np.testing.assert_array_equal, apply(variables, padded(length, side)), expected)


@pytest.mark.slow
def test_a_batch_gives_what_each_text_alone_gives(variables):
    states = APPLY(variables, padded(64))
    for row, size in enumerate(LENGTHS):
        alone = APPLY(variables, padded(64)[row : row + 1, :size])
        for state, expected in zip(states, alone, strict=True):
            np.testing.assert_allclose(state[row], expected[0], atol=1e-6)


@pytest.mark.slow
def test_padding_gets_no_gradient(variables):
    @jax.jit
    @jax.grad
    def gradient(variables, tokens):
        return sum(jnp.sum(state**2) for state in MODEL.apply(variables, tokens))

    short, long = (gradient(variables, padded(length)) for length in (64, 128))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), short, long)
    assert not short["params"]["embedding"]["embedding"][0].any()


def test_a_mask_stands_in_for_the_padding_id(variables):
    tokens = padded(64)
    disturbed = np.where(tokens == 0, 7, tokens)
    jax.tree.map(
        np.testing.assert_array_equal,
        APPLY(variables, disturbed, mask=tokens != 0),
        APPLY(variables, tokens),
    )


def test_a_text_without_tokens_gives_zeros(variables):
    for state in APPLY(variables, jnp.zeros((2, 9), "int32")):
        np.testing.assert_array_equal(state, np.zeros_like(state))


@pytest.mark.parametrize("reverse", [False, True])
def test_the_lstm_by_hand(reverse):
    sequence, present = jax.random.normal(jax.random.key(0), (7, 2, 3)), jnp.ones((7, 2), bool)
    (states, final), variables = jax.jit(LSTM(4, reverse).init_with_output)(
        jax.random.key(1), sequence, present
    )
    kernel, recurrent, bias = (
        np.asarray(variables["params"][name], "float64") for name in ("kernel", "recurrent_kernel", "bias")
    )

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    h = c = np.zeros((2, 4))
    for t in reversed(range(7)) if reverse else range(7):
        i, f, g, o = np.split(np.asarray(sequence[t]) @ kernel + h @ recurrent + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(states[t], h, atol=1e-5)
    np.testing.assert_allclose(final, h, atol=1e-5)
    np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], 4))


def test_both_directions_are_read():
    tokens = jnp.array([[3, 4, 5]])
    model = BiLSTM(50, 8, (6,))
    (state,), variables = jax.jit(model.init_with_output)(jax.random.key(0), tokens)
    swapped = dict(variables["params"])
    swapped["forward_0"], swapped["backward_0"] = swapped["backward_0"], swapped["forward_0"]
    (mirrored,) = jax.jit(model.apply)({"params": swapped}, tokens[:, ::-1])
    np.testing.assert_allclose(mirrored, jnp.roll(state, 6, axis=1), atol=1e-6)


def test_half_precision_parameters():
    model = BiLSTM(vocabulary_size=50, embedding_dim=8, widths=(6,), param_dtype=jnp.bfloat16)
    (state,), variables = jax.jit(model.init_with_output)(jax.random.key(0), padded(64))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {state.dtype} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BiLSTM(vocabulary_size=0), "vocabulary_size is 0"),
        (lambda: BiLSTM(embedding_dim=0), "embedding_dim is 0"),
        (lambda: BiLSTM(widths=()), "widths is empty"),
        (lambda: MODEL.init(jax.random.key(0), jnp.ones((2, 9))), "dtype float32"),
        (lambda: MODEL.init(jax.random.key(0), jnp.ones(9, "int32")), r"shape \(9,\)"),
        (
            lambda: MODEL.init(jax.random.key(0), padded(64), np.ones((1, 64), bool)),
            r"mask has shape \(1, 64\), expected \(4, 64\)",
        ),
    ],
)
def test_wrong_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def one_position_after_another(sequence, present, weights, reverse):
    """An LSTM as a plain scan, for automatic differentiation."""

    def step(before, at):
        features, here = at
        i, f, g, o = jnp.split(
            features @ weights.kernel + before[0] @ weights.recurrent + weights.bias[None], 4, 1
        )
        cell = jax.nn.sigmoid(f) * before[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        state = jax.nn.sigmoid(o) * jnp.tanh(cell)
        after = tuple(jnp.where(here[:, None], *pair) for pair in zip((state, cell), before, strict=True))
        return after, after[0]

    zeros = jnp.zeros((sequence.shape[1], len(weights.recurrent)))
    (final, _), states = jax.lax.scan(step, (zeros, zeros), (sequence, present), reverse=reverse)
    return states, final


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, STEPS, 2 * STEPS + 5])
def test_the_gradient_is_that_of_automatic_differentiation(length, reverse):
    keys = jax.random.split(jax.random.key(length), 6)
    sequence = jax.random.normal(keys[0], (length, 3, 4))
    present = jax.random.bernoulli(keys[1], 0.7, (length, 3))
    weights = Weights(
        *(
            jax.random.normal(key, shape)
            for key, shape in zip(keys[2:5], [(4, 20), (5, 20), (20,)], strict=True)
        )
    )
    probes = jax.random.normal(keys[5], (length + 1, 3, 5))

    def value(run, sequence, weights):
        states, final = run(sequence, present, weights, reverse)
        return jnp.sum(states * probes[:-1]) + jnp.sum(final * probes[-1])

    ours, expected = (
        jax.jit(jax.value_and_grad(value, (1, 2)), static_argnums=0)(run, sequence, weights)
        for run in (recur, one_position_after_another)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, expected)


@pytest.mark.slow
def test_half_precision_adds_up_the_gradient_of_weights_in_float32():
    model = LSTM(3, dtype=jnp.bfloat16)
    sequence, present = jnp.ones((40 * STEPS, 8, 2)), jnp.ones((40 * STEPS, 8), bool)
    variables = jax.jit(model.init)(jax.random.key(0), sequence, present)

    def total(variables, model):
        return jnp.sum(model.apply(variables, sequence, present)[0].astype(jnp.float32))

    half, full = (
        jax.jit(jax.grad(total), static_argnums=1)(variables, m)["params"]["bias"] for m in (model, LSTM(3))
    )
    np.testing.assert_allclose(half, full, rtol=0.05, atol=0.05 * float(jnp.abs(full).max()))
