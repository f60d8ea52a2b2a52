"""A small head of every kind, and parameters without zeros."""

import jax
import jax.numpy as jnp
import numpy as np

from laya_jax import ConcatHead, LastLayerHead, LayaHead, ScalarMixHead

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
