import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_layers import IMAGES, TOKENS, Block, initialised

from laya_jax import LayaHead, capture, layer_names


class Deep(nn.Module):
    """Names that neither the alphabet nor the order of definition sorts as the calls go."""

    depth: int = 12

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Dense(8, name="stem")(x)
        for i in range(self.depth):
            x = Block(8, name=f"block_{i}")(x)
        return nn.Dropout(0.5, deterministic=not train, name="at_the_end")(x)


class Tied(nn.Module):
    def setup(self):
        self.layer = nn.Dense(6)

    def __call__(self, x):
        return self.layer(nn.relu(self.layer(x)))


def states_by_hand(variables, x):
    def dense(parameters, x):
        return x @ np.asarray(parameters["kernel"]) + np.asarray(parameters["bias"])

    states = [dense(variables["params"]["stem"], x)]
    for i in range(12):
        states.append(np.maximum(dense(variables["params"][f"block_{i}"]["Dense_0"], states[-1]), 0))
    return states


@pytest.mark.parametrize("jit", [False, True])
def test_twelve_blocks_come_in_the_order_of_the_calls(jit):
    model, variables = initialised(Deep(), IMAGES)

    def states(variables, images):
        return capture(model, variables, images, layers="block_*")

    captured = (jax.jit(states) if jit else states)(variables, IMAGES)
    for state, expected in zip(captured, states_by_hand(variables, IMAGES)[1:], strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-5)


def test_names_come_in_the_order_of_the_calls():
    names = layer_names(*initialised(Deep(), IMAGES), IMAGES)
    assert names[:3] == ("stem", "block_0/Dense_0", "block_0")
    assert names[-3:] == ("block_11/Dense_0", "block_11", "at_the_end")


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("block_10", [11]),
        (["stem", "block_*"], range(13)),
        (["block_3", "stem"], [4, 0]),
        (["block_3", "block_3", "block_*"], [4, 1, 2, 3, *range(5, 13)]),
        (0, [0]),
        ([0, 2, -2], [0, 1, 12]),
        (("block_1?", 0), [11, 12, 0]),
    ],
)
def test_layers_by_name_pattern_and_index(layers, expected):
    model, variables = initialised(Deep(), IMAGES)
    captured = capture(model, variables, IMAGES, layers=layers)
    by_hand = states_by_hand(variables, IMAGES)
    for state, index in zip(captured, expected, strict=True):
        np.testing.assert_allclose(state, by_hand[index], atol=1e-5)


def test_a_pattern_matches_one_level_from_the_end():
    model, variables = initialised(Deep(), IMAGES)
    assert len(capture(model, variables, IMAGES, layers="block_*/Dense_0")) == 12
    assert len(capture(model, variables, IMAGES, layers="Dense_0")) == 12
    assert len(capture(model, variables, IMAGES, layers="block_1*")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max"])
def test_pooling_and_mask(pooling):
    model, variables = initialised(Deep(), TOKENS)
    mask = np.array([[True] * 3 + [False] * 2] * 4)
    pooled = capture(model, variables, TOKENS, layers="block_*", pooling=pooling, pooling_mask=mask)
    cut = capture(model, variables, TOKENS[:, :3], layers="block_*", pooling=pooling)
    for state, expected in zip(pooled, cut, strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-6)


def test_a_layer_called_twice_comes_twice():
    model, variables = initialised(Tied(), IMAGES)
    first, second = capture(model, variables, IMAGES, layers="layer")
    np.testing.assert_allclose(second, model.apply(variables, IMAGES), atol=1e-6)
    np.testing.assert_allclose(
        first, nn.Dense(6).apply({"params": variables["params"]["layer"]}, IMAGES), atol=1e-6
    )


def test_intermediates_left_over_from_init_do_no_harm():
    model = Deep()
    variables = model.init(jax.random.key(0), IMAGES, capture_intermediates=True)
    assert "intermediates" in variables
    captured = capture(model, variables, IMAGES + 1, layers="block_*")
    np.testing.assert_allclose(captured[0], states_by_hand(variables, IMAGES + 1)[1], atol=1e-5)


def test_options_reach_the_model():
    model, variables = initialised(Deep(), IMAGES)
    options = {"train": True, "rngs": {"dropout": jax.random.key(0)}}
    (state,) = capture(model, variables, IMAGES, layers="at_the_end", **options)
    np.testing.assert_allclose(state, model.apply(variables, IMAGES, **options), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_backbone_gets_no_gradient(frozen):
    model, variables = initialised(Deep(depth=2), IMAGES)
    head = LayaHead(num_classes=3, dim=4)
    head_variables = head.init(jax.random.key(1), capture(model, variables, IMAGES, layers="block_*"))

    def loss(variables, head_variables):
        states = capture(model, variables, IMAGES, layers="block_*", frozen=frozen)
        return jnp.sum(head.apply(head_variables, states).logits ** 2)

    of_backbone, of_head = jax.grad(loss, argnums=(0, 1))(variables, head_variables)
    assert any(leaf.any() for leaf in jax.tree.leaves(of_head))
    assert any(leaf.any() for leaf in jax.tree.leaves(of_backbone)) is not frozen


class Nested(nn.Module):
    """Names that end the names of others, as Flax gives them by default."""

    @nn.compact
    def __call__(self, x):
        x = Block(8)(nn.Dense(8)(x))
        return nn.Dense(3)(x)


@pytest.mark.parametrize(("layers", "name"), [(0, "Dense_0"), ("Dense_0", "Dense_0"), (1, "Block_0/Dense_0")])
def test_an_index_or_a_full_name_means_that_layer_only(layers, name):
    model, variables = initialised(Nested(), IMAGES)
    assert layer_names(model, variables, IMAGES) == ("Dense_0", "Block_0/Dense_0", "Block_0", "Dense_1")
    (state,) = capture(model, variables, IMAGES, layers=layers)
    below = (
        IMAGES if name == "Dense_0" else nn.Dense(8).apply({"params": variables["params"]["Dense_0"]}, IMAGES)
    )
    parameters = (
        variables["params"]["Dense_0"] if name == "Dense_0" else variables["params"]["Block_0"]["Dense_0"]
    )
    np.testing.assert_allclose(state, nn.Dense(8).apply({"params": parameters}, below), atol=1e-6)


def test_names_need_shapes_only():
    model = Deep(depth=2)
    images = jax.ShapeDtypeStruct(IMAGES.shape, IMAGES.dtype)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    names = layer_names(model, variables, images, train=False)
    assert names == ("stem", "block_0/Dense_0", "block_0", "block_1/Dense_0", "block_1", "at_the_end")


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        (
            "blok_*",
            ValueError,
            r"'blok_\*', but no layer that returns an array matches it; there are: stem, block_0/Dense_0, ",
        ),
        (["stem", "block_12"], ValueError, "'block_12', but no layer"),
        ("", ValueError, "'', but no layer"),
        (".", ValueError, "'.', but no layer"),
        ({"stem": 1}, TypeError, "layers holds {'stem': 1}"),
        ([], ValueError, "layers is empty"),
        (99, ValueError, "index 99, but there are 26 layers: stem"),
        ([-27], ValueError, "index -27"),
        (True, TypeError, "layers holds True"),
        ([1.5], TypeError, "layers holds 1.5"),
        (None, TypeError, "layers holds None"),
    ],
)
def test_wrong_layers_are_named(layers, error, message):
    with pytest.raises(error, match=message):
        capture(*initialised(Deep(), IMAGES), IMAGES, layers=layers)


def test_a_model_of_one_layer_says_that_there_is_nothing_inside():
    with pytest.raises(ValueError, match="there are: none"):
        capture(*initialised(nn.Dense(3), IMAGES), IMAGES, layers="*")


def test_unpooled_tokens_are_refused_by_the_head_with_a_hint():
    states = capture(*initialised(Deep(depth=2), TOKENS), TOKENS, layers="block_*")
    with pytest.raises(ValueError, match=r"shape \(4, 5, 8\), expected \[batch, width\].*pooling"):
        LayaHead(num_classes=3, dim=4).init(jax.random.key(0), states)
    with pytest.raises(ValueError, match="pooling_mask came without a pooling"):
        capture(
            *initialised(Deep(depth=2), TOKENS), TOKENS, layers="block_*", pooling_mask=TOKENS[..., 0] > 0
        )
    with pytest.raises(ValueError, match="pooling is 'avg', expected one of 'mean', 'max', 'cls', 'last'"):
        capture(*initialised(Deep(depth=2), TOKENS), TOKENS, layers="block_*", pooling="avg")
