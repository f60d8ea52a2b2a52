import jax
import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax import Classifier, LayaHead
from laya_jax.backbones import BERT, ViT
from laya_jax.backbones.vit import cubic_weights, interpolated

SMALL_VIT = ViT(patch_size=4, width=8, depth=3, heads=2, grid=(2, 3))
SMALL_BERT = BERT(vocabulary_size=30, width=8, depth=2, heads=2, max_length=10)


@pytest.mark.slow
def test_hidden_states_are_pooled_as_asked():
    images = jax.random.normal(jax.random.key(0), (2, 8, 12, 3))
    variables = jax.jit(SMALL_VIT.init)(jax.random.key(1), images)
    tokens = jax.jit(SMALL_VIT.clone(pooling=None).apply)(variables, images)
    assert [state.shape for state in tokens] == [(2, 7, 8)] * 3
    both = jax.jit(SMALL_VIT.clone(pooling="cls+mean").apply)(variables, images)
    for state, pooled in zip(tokens, both, strict=True):
        np.testing.assert_allclose(pooled[:, :8], state[:, 0], atol=1e-6)
        np.testing.assert_allclose(pooled[:, 8:], state[:, 1:].mean(axis=1), atol=1e-6)


@pytest.mark.slow
def test_padding_has_no_influence():
    tokens = jnp.array([[5, 6, 7, 0, 0], [8, 9, 4, 3, 2]])
    apply = jax.jit(SMALL_BERT.apply)
    variables = jax.jit(SMALL_BERT.init)(jax.random.key(0), tokens)
    padded, short = (apply(variables, given) for given in (tokens[:1], tokens[:1, :3]))
    assert len(padded) == 3
    for one, other in zip(padded, short, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    masked = apply(variables, tokens[1:], jnp.array([[True, True, False, False, False]]))
    expected = apply(variables, tokens[1:, :2])
    np.testing.assert_allclose(masked[-1], expected[-1], atol=1e-6)


@pytest.mark.slow
def test_a_text_of_nothing_but_padding_is_finite():
    tokens = jnp.zeros((1, 4), int)
    (*_, last), _ = jax.jit(SMALL_BERT.init_with_output)(jax.random.key(0), tokens)
    np.testing.assert_array_equal(last, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "inputs"), [
    (SMALL_VIT, jnp.ones((2, 8, 12, 3))),
    (SMALL_VIT.clone(layer_scale=True), jnp.ones((2, 8, 12, 3))),
    (SMALL_BERT, jnp.ones((2, 5), int)),
])  # fmt: skip
def test_a_head_reads_them_and_both_can_train(backbone, inputs):
    classifier = Classifier(backbone=backbone, head=LayaHead(num_classes=3, dim=4))
    variables = jax.jit(classifier.init)(jax.random.key(0), inputs)

    def loss(variables):
        return classifier.apply(variables, inputs).logits[:, 0].sum()

    gradient = jax.jit(jax.grad(loss))(variables)["params"]
    norms = jax.tree.leaves(jax.tree.map(np.linalg.norm, gradient["backbone"]))
    assert all(np.isfinite(norm) for norm in norms)
    assert sum(norm > 0 for norm in norms) > 0.7 * len(norms)
    half = Classifier(backbone=backbone.clone(dtype=jnp.bfloat16), head=classifier.head)
    attentions = [jax.jit(model.apply)(variables, inputs).attention for model in (half, classifier)]
    np.testing.assert_allclose(*attentions, atol=0.1)


def test_positions_are_interpolated_as_pytorch_does():
    # torch.nn.functional.interpolate(mode="bicubic", align_corners=False), torch 2.13.0, of a 4 x 4 image of
    # squares that is constant along the other axis.
    squares = jnp.repeat(jnp.arange(4.0)[:, None] ** 2, 4, axis=1)
    positions = jnp.concatenate([jnp.full((1, 1), -7.0), squares.reshape(16, 1)])
    six = interpolated(positions, (4, 4), (6, 4))
    assert six.shape == (25, 1)
    assert six[0, 0] == -7
    expected = [-0.0868056, 0.21875, 1.430555, 3.1527777, 6.78125, 9.4340286]
    np.testing.assert_allclose(six[1:].reshape(6, 4)[:, 0], expected, atol=1e-5)
    three = interpolated(positions, (4, 4), (3, 4))
    expected = [0.091435, 2.125, 8.3344917]
    np.testing.assert_allclose(three[1:].reshape(3, 4)[:, 1], expected, atol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(37, 16), (14, 24), (3, 3), (1, 5)])
def test_interpolation_keeps_what_is_constant(old, new):
    np.testing.assert_allclose(cubic_weights(old, new).sum(axis=1), 1)
    np.testing.assert_allclose(cubic_weights(old, old), np.eye(old), atol=1e-12)


@pytest.mark.parametrize(
    ("make", "inputs", "message"),
    [
        (SMALL_VIT, jnp.ones((1, 9, 12, 3)), "9 x 12 pixels, expected multiples of the patch size, 4"),
        (SMALL_VIT, jnp.ones((1, 8, 12, 3), jnp.uint8), "expected .* in floating point"),
        (SMALL_VIT, jnp.ones((8, 12, 3)), r"images have shape \(8, 12, 3\)"),
        (SMALL_BERT, jnp.ones((1, 11), int), "tokens have length 11, expected at most 10"),
        (SMALL_BERT, jnp.ones((1, 5)), "expected .* of integers"),
    ],
)
def test_wrong_inputs_are_refused(make, inputs, message):
    with pytest.raises(ValueError, match=message):
        make.init(jax.random.key(0), inputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"heads": 5}, "heads is 5, expected a divisor of the width"),
        ({"pooling": "sum"}, "pooling is 'sum'"),
        ({"depth": 0}, "depth is 0"),
    ],
)
def test_wrong_settings_are_refused(fields, message):
    for kind in (ViT, BERT):
        with pytest.raises(ValueError, match=message):
            kind(**fields)
