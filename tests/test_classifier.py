import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax import Classifier, ConcatHead, LastLayerHead, LayaHead, ScalarMixHead
from laya_jax.backbones import MLP, BiLSTM, SeparableCNN

HEADS = [
    LayaHead(num_classes=3, dim=4),
    ScalarMixHead(num_classes=3, dim=4),
    ConcatHead(num_classes=3, dim=4),
    LastLayerHead(num_classes=3),
]
BACKBONES = [
    (MLP(widths=(8, 6)), jnp.ones((2, 5, 5))),
    (SeparableCNN(widths=(8, 6)), jnp.ones((2, 8, 8, 3))),
    (BiLSTM(vocabulary_size=10, embedding_dim=4, widths=(4, 3)), jnp.array([[3, 4, 5, 0], [1, 2, 0, 0]])),
]


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("backbone", "inputs"), BACKBONES)
def test_every_head_fits_every_backbone(backbone, inputs, head):
    classifier = Classifier(backbone=backbone, head=head)
    output, variables = classifier.init_with_output(jax.random.key(0), inputs)
    states = classifier.apply(variables, inputs, method="hidden_states")
    expected = head.apply({"params": variables["params"]["head"]}, states)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), output, expected)
    assert output.logits.shape == (2, 3)


def test_the_paper_model_has_its_number_of_parameters():
    classifier = Classifier(
        backbone=MLP(widths=(512, 256, 128)),
        head=LayaHead(num_classes=10, dim=96, temperature=1.5, psi="identity", scorer_width=192),
    )
    variables = jax.eval_shape(classifier.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 784), "float32"))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 711_277


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "inputs"), BACKBONES)
def test_a_batch_may_be_empty(backbone, inputs):
    classifier = Classifier(backbone=backbone, head=HEADS[0])
    variables = classifier.init(jax.random.key(0), inputs)
    assert classifier.apply(variables, inputs[:0]).logits.shape == (0, 3)


class WithDropout(nn.Module):
    @nn.compact
    def __call__(self, inputs, *, deterministic):
        return [nn.Dropout(0.5)(inputs, deterministic=deterministic)]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_backbone_with_dropout_is_random_while_it_trains(frozen):
    classifier = Classifier(backbone=WithDropout(), head=HEADS[-1], freeze_backbone=frozen)
    inputs = jnp.ones((2, 50))
    variables = classifier.init(jax.random.key(0), inputs)

    def logits(seed, **options):
        return classifier.apply(variables, inputs, rngs={"dropout": jax.random.key(seed)}, **options).logits

    np.testing.assert_array_equal(logits(1), logits(2))
    changed = np.any(np.asarray(logits(1, deterministic=False) != logits(2, deterministic=False)))
    assert bool(changed) is not frozen
    (states,) = classifier.apply(variables, inputs, method="hidden_states")
    np.testing.assert_array_equal(states, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_backbone_gets_no_gradient(frozen):
    backbone, inputs = BACKBONES[0]
    classifier = Classifier(backbone=backbone, head=HEADS[0], freeze_backbone=frozen)
    inputs = jax.random.normal(jax.random.key(1), inputs.shape)
    variables = classifier.init(jax.random.key(0), inputs)
    gradient = jax.grad(lambda v: jnp.sum(classifier.apply(v, inputs).logits ** 2))(variables)["params"]
    assert any(leaf.any() for leaf in jax.tree.leaves(gradient["head"]))
    assert any(leaf.any() for leaf in jax.tree.leaves(gradient["backbone"])) is not frozen


@pytest.mark.slow
def test_the_layer_mask_reaches_the_head_and_options_the_backbone():
    backbone, tokens = BACKBONES[2]
    classifier = Classifier(backbone=backbone, head=HEADS[0])
    variables = classifier.init(jax.random.key(0), tokens)
    attention = classifier.apply(variables, tokens, layer_mask=[False, True]).attention
    np.testing.assert_array_equal(attention, [[0, 1], [0, 1]])
    only_first = np.array([[True, False, False, False]] * 2)
    masked = classifier.apply(variables, tokens, mask=only_first).logits
    np.testing.assert_allclose(masked, classifier.apply(variables, tokens[:, :1]).logits, atol=1e-6)
