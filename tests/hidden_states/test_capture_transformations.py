"""Hidden states of layers under Flax's transformations."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_layers import IMAGES, TOKENS, Block, Step, initialised, running, scanned

from laya_jax import LayaHead, capture, layer_names


class Scanned(nn.Module):
    remat: bool = False

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8, name="stem")(x)

        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x, _):
                x = nn.tanh(nn.Dense(8)(x))
                return x, None

        layers = nn.scan(
            nn.remat(Layer) if self.remat else Layer,
            variable_axes={"params": 0, "intermediates": 0},
            split_rngs={"params": True},
            length=3,
        )
        return layers(name="layers")(x, None)[0]


@pytest.mark.slow
@pytest.mark.parametrize("remat", [False, True])
def test_a_scan_over_layers_comes_as_one_stacked_array(remat):
    model, variables = initialised(Scanned(remat), TOKENS)
    stacked = capture(model, variables, TOKENS, layers="layers", pooling="mean")
    assert stacked.shape == (3, 4, 8)
    last = model.apply(variables, TOKENS).mean(axis=1)
    np.testing.assert_allclose(stacked[-1], last, atol=1e-6)
    apart = capture(model, variables, TOKENS, layers=["stem", "layers"], pooling="mean")
    assert [state.shape for state in apart] == [(4, 8)] * 4
    np.testing.assert_allclose(jnp.stack(apart[1:]), stacked, atol=1e-6)
    output, _ = LayaHead(num_classes=3, dim=4).init_with_output(jax.random.key(0), stacked)
    assert output.attention.shape == (4, 3)
    with jax.checking_leaks():
        jax.jit(lambda v: capture(model, v, TOKENS, layers="layers", pooling="mean"))(variables)


@pytest.mark.parametrize("jit", [False, True])
def test_a_vmap_over_samples_is_no_stack_of_layers(jit):
    dense = nn.vmap(
        nn.Dense, variable_axes={"params": None, "intermediates": 0}, split_rngs={"params": False}
    )

    class PerSample(nn.Module):
        @nn.compact
        def __call__(self, x):
            return dense(6, name="layer")(x)

    model, variables = initialised(PerSample(), TOKENS)

    def states(tokens):
        return capture(model, variables, tokens, layers="layer", pooling="mean")

    (state,) = (jax.jit(states) if jit else states)(TOKENS)
    np.testing.assert_allclose(state, model.apply(variables, TOKENS).mean(axis=1), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_depth_comes_first_wherever_the_scan_puts_it(axis):
    axes = {"params": 0, "intermediates": axis}
    model = running(lambda x: scanned(Step, variable_axes=axes)(name="layers")(x, None)[0])
    _, variables = initialised(model, TOKENS)
    expected = TOKENS
    for i, state in enumerate(capture(model, variables, TOKENS, layers="layers")):
        parameters = jax.tree.map(lambda leaf, i=i: leaf[i], variables["params"]["layers"])
        expected, _ = Step().apply({"params": parameters}, expected, None)
        np.testing.assert_allclose(state, expected, atol=1e-6)


def test_values_sown_in_a_scan_are_stacked_too():
    model, variables = initialised(
        running(lambda x: scanned(nn.remat(Step))(name="layers")(x, None)[0]), TOKENS
    )
    states = [capture(model, variables, TOKENS, layers=name) for name in ("layers", "layers/gelu")]
    assert states[0].shape == (3, 4, 5, 6)
    np.testing.assert_array_equal(*states)


def test_a_scan_of_scans_comes_as_one_stack():
    model = running(lambda x: nn.remat_scan(Block, lengths=(2, 3))(6, name="layers")(x))
    _, variables = initialised(model, TOKENS)
    stacked = capture(model, variables, TOKENS, layers="layers")
    assert stacked.shape == (6, 4, 5, 6)
    np.testing.assert_allclose(stacked[-1], model.apply(variables, TOKENS), atol=1e-6)


def vmapped(layer, **options):
    axes = {"params": None, "intermediates": 0}
    return nn.vmap(layer, **{"variable_axes": axes, "split_rngs": {"params": False}, **options})


MEMBERS = {"in_axes": None, "axis_size": 3, "split_rngs": {"params": True}}


@pytest.mark.parametrize("layer", [nn.Dense, nn.remat(nn.Dense), nn.jit(nn.Dense)])
@pytest.mark.parametrize("axes", [{"params": 0, "intermediates": 0}, {"params": 0}])
def test_members_of_an_ensemble_are_neither_samples_nor_layers(layer, axes):
    model = running(
        lambda x: vmapped(layer, **MEMBERS, variable_axes=axes)(8, name="experts")(x).mean(axis=0)
    )
    _, variables = initialised(model, TOKENS)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"'experts' runs under a vmap over its parameters.*members"):
            capture(model, variables, TOKENS, layers="experts", pooling="mean")


@pytest.mark.parametrize("layer", [Block, nn.remat(Block), nn.jit(Block)])
def test_a_vmap_over_samples_may_go_through_other_transforms(layer):
    model, variables = initialised(running(lambda x: vmapped(layer)(6, name="block")(x)), TOKENS)
    for _ in range(2):
        (state,) = capture(model, variables, TOKENS, layers="block")
        np.testing.assert_array_equal(state, model.apply(variables, TOKENS))


def test_a_vmap_over_tokens_is_taken_only_where_the_batch_comes_first():
    axes = {"params": None, "intermediates": 1}
    model = running(lambda x: vmapped(Block, in_axes=1, out_axes=1, variable_axes=axes)(6, name="block")(x))
    _, variables = initialised(model, TOKENS)
    (state,) = capture(model, variables, TOKENS, layers="block")
    np.testing.assert_array_equal(state, model.apply(variables, TOKENS))
    model = running(lambda x: vmapped(Block, in_axes=1, out_axes=1)(6, name="block")(x))
    with pytest.raises(ValueError, match=r"'block' runs under a vmap that is not over samples.*\(5, 4, 6\)"):
        capture(model, variables, TOKENS, layers="block")


@pytest.mark.parametrize(
    ("shape", "inputs", "options", "message"),
    [
        ((4, 5, 6), [jnp.arange(5)], {}, r"is not over samples.*\(5, 4, 6\)"),
        (
            (4, 2, 5, 6),
            [],
            {"rngs": {"dropout": jnp.zeros(2, "uint32")}},
            r"is not over samples.*\(2, 4, 5, 6\)",
        ),
        ((5, 5, 6), [], {}, r"several axes of \(5, 5, 6\) are of the size of the batch, 5"),
    ],
)
def test_a_vmap_is_not_over_samples_because_its_size_is_that_of_another_input(
    shape, inputs, options, message
):
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, positions=None):
            return vmapped(Block, in_axes=1, out_axes=1)(6, name="block")(x)

    model = Model()
    tokens = jnp.arange(math.prod(shape), dtype="float32").reshape(shape)
    _, variables = initialised(model, tokens)
    with pytest.raises(ValueError, match=f"'block' runs under a vmap.*{message}"):
        capture(model, variables, tokens, *inputs, layers="block", **options)


def test_a_vmap_over_tokens_to_a_number_each_does_not_pass_for_a_batch():
    model = running(lambda x: vmapped(Score, in_axes=1, out_axes=1)(name="score")(x))
    _, variables = initialised(model, TOKENS)
    with pytest.raises(ValueError, match=r"'score' runs under a vmap that is not over samples.*\(5, 4\)"):
        capture(model, variables, TOKENS, layers="score")


class Score(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x)[..., 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "layer", "message"),
    [
        (
            lambda x: scanned(Step, variable_axes={"params": 0})(name="layers")(x, None)[0],
            "layers",
            r"does not return its intermediates.*variable_axes=\{\"params\": 0, \"intermediates\": 0\}",
        ),
        (lambda x: nn.RNN(nn.GRUCell(7), name="rnn")(x), "GRUCell_0", "does not return its intermediates"),
        (
            lambda x: nn.RNN(nn.GRUCell(7), variable_axes={"intermediates": 0})(x),
            "GRUCell_0/hn",
            "shares its parameters.* may be time",
        ),
        (
            lambda x: scanned(vmapped(Step, in_axes=(0, None), out_axes=(0, None)))(name="layers")(x, None)[
                0
            ],
            "layers",
            "both vmap and scan",
        ),
    ],
)
def test_an_axis_without_a_name_is_refused(function, layer, message):
    model, variables = initialised(running(function), TOKENS)
    assert layer in layer_names(model, variables, TOKENS)
    with pytest.raises(ValueError, match=f"layer '{layer}' runs under .*{message}"):
        capture(model, variables, TOKENS, layers=layer)


class UnderJax(nn.Module):
    """Runs a layer under a transform of JAX itself, out of which Flax can store nothing."""

    def setup(self):
        self.block, self.last = Block(6), nn.Dense(3)

    def __call__(self, x):
        return self.last(jax.vmap(self.block)(x))


@pytest.mark.parametrize("jit", [False, True])
def test_a_layer_under_a_transform_of_jax_says_so(jit):
    model, variables = initialised(UnderJax(), IMAGES)

    def states(images, layers):
        return capture(model, variables, images, layers=layers)

    states = jax.jit(states, static_argnames="layers") if jit else states
    with pytest.raises(
        ValueError, match=r"'block' runs under a transform out of which nothing can be stored"
    ):
        states(IMAGES, layers="block")
    assert states(IMAGES, layers="last")[0].shape == (4, 3)
    assert layer_names(model, variables, IMAGES) == ("block/Dense_0", "block", "last")
