"""Each head as two pure functions: one gives the shapes of its parameters, the other its output.

The modules of ``heads`` (Linen) and ``nnx`` hold parameters of these shapes and call these functions.
Parameter trees are the same everywhere: those in ``variables["params"]`` of the Linen module.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp

from laya_jax.heads.layer_attention import EXACT, affine, attend, contribute, gelu, layer_normalize, mix
from laya_jax.heads.parameters import Shapes, adapter_shapes, affine_shapes
from laya_jax.heads.reading import (
    PLAIN,
    Reading,
    adapted_layers,
    kept_layers,
    kept_states,
    read_layers,
    with_layer_dropout,
)
from laya_jax.typing import Affine, Array, Float, HiddenStates, LayerMask, Parameters

PSI = ("identity", "mlp")


class HeadOutput(NamedTuple):
    """Output of every head. Under jit, fields that are not used are not computed.

    Attributes:
      logits: Logits [B, K].
      attention: Weight of each layer [B, L], summing to 1 over layers, averaged over attention heads; None
        for a head without attention.
      contributions: Contribution of each layer to each logit [B, L, K]; with the classifier's bias they sum
        to the logits. None for a head whose logits do not split over layers.
      aggregate: Input of the classifier [B, D].
    """

    logits: Float[Array, "batch classes"]
    attention: Float[Array, "batch layer"] | None
    contributions: Float[Array, "batch layer classes"] | None
    aggregate: Float[Array, "batch dim"]


def laya_shapes(
    widths: Sequence[int],
    *,
    num_classes: int,
    dim: int,
    psi: str = "identity",
    scorer_width: int | None = None,
    attention_heads: int = 1,
) -> Shapes:
    """Returns the shapes of LAYA's parameters.

    Args:
      widths: Widths of the hidden states, in order.
      num_classes: Number of classes, K.
      dim: Shared width that all layers are projected to, d* in the paper.
      psi: Input of the scorer for each layer: "identity" or "mlp".
      scorer_width: Hidden width of the scorer; None means ``dim``.
      attention_heads: Number of attention heads.

    Returns:
      Shapes by name; ``parameters.parameter_count`` counts the parameters.

    >>> shapes = laya_shapes([512, 256, 128], num_classes=10, dim=96, scorer_width=192)
    >>> shapes["adapter_0"], shapes["scorer_output"]
    ({'kernel': (512, 96), 'bias': (96,)}, {'kernel': (192, 3), 'bias': (3,)})
    """
    scorer_width = dim if scorer_width is None else scorer_width
    psi_shapes = {"psi_0": affine_shapes(dim, dim), "psi_1": affine_shapes(dim, dim)}
    return {
        **adapter_shapes(widths, dim),
        **(psi_shapes if psi == "mlp" else {}),
        "scorer_hidden": affine_shapes(len(widths) * dim, scorer_width),
        "scorer_output": affine_shapes(scorer_width, len(widths) * attention_heads),
        "classifier": affine_shapes(dim, num_classes),
    }


def laya(
    parameters: Parameters,
    hidden_states: HiddenStates,
    *,
    temperature: float = 1.0,
    reading: Reading = PLAIN,
    layer_mask: LayerMask | None = None,
    key: Array | None = None,
) -> HeadOutput:
    """LAYA: attention over layers, per sample, and a linear classifier on the mix.

    ``z_i = g_i(h_i)``, ``alpha = softmax(scorer(psi(z)) / temperature)``,
    ``logits = W sum_i alpha_i z_i + b``.

    Args:
      parameters: Parameters of the shapes that ``laya_shapes`` returns; psi is an MLP if they include one.
      hidden_states: Sequence of L arrays [B, d_i], or one array [L, B, d].
      temperature: Divisor of the scores, greater than 0; smaller values sharpen attention.
      reading: Normalisation and dropout of the layers.
      layer_mask: True for each layer that may be attended to, [L] or [B, L].
      key: Random key for dropout; None disables it.

    Returns:
      A ``HeadOutput``.

    Reference: LAYA (arXiv 2511.12723).

    >>> shapes = laya_shapes([3, 4], num_classes=2, dim=5)
    >>> parameters = jax.tree.map(jnp.ones, shapes, is_leaf=lambda shape: isinstance(shape, tuple))
    >>> laya(parameters, [jnp.ones((1, 3)), jnp.ones((1, 4))]).attention
    Array([[0.5, 0.5]], dtype=float32)
    """
    layer_mask = with_layer_dropout(layer_mask, hidden_states, reading, key)
    scores, z = read_layers(parameters, hidden_states, reading, key)
    return _mixed(
        parameters["classifier"], attend(scores, temperature, layer_mask), kept_layers(z, layer_mask)
    )


def scalar_mix_shapes(widths: Sequence[int], *, num_classes: int, dim: int) -> Shapes:
    """Returns the shapes of the scalar mix's parameters; arguments as for ``laya_shapes``.

    >>> scalar_mix_shapes([3, 4], num_classes=2, dim=5)["scores"]
    (2,)
    """
    return {
        **adapter_shapes(widths, dim),
        "scores": (len(widths),),
        "classifier": affine_shapes(dim, num_classes),
    }


def scalar_mix(
    parameters: Parameters,
    hidden_states: HiddenStates,
    *,
    reading: Reading = PLAIN,
    layer_mask: LayerMask | None = None,
    key: Array | None = None,
) -> HeadOutput:
    """Scalar mix: one learned weight per layer, the same for every sample.

    ``logits = W sum_i softmax(scores)_i g_i(h_i) + b``. Arguments and result as for ``laya``.

    Reference: Peters et al. 2018, Deep contextualized word representations, equation 1.

    >>> shapes = scalar_mix_shapes([3, 4], num_classes=2, dim=5)
    >>> parameters = jax.tree.map(jnp.ones, shapes, is_leaf=lambda shape: isinstance(shape, tuple))
    >>> scalar_mix(parameters, [jnp.ones((1, 3)), jnp.ones((1, 4))]).attention
    Array([[0.5, 0.5]], dtype=float32)
    """
    layer_mask = with_layer_dropout(layer_mask, hidden_states, reading, key)
    scores, z = read_layers(parameters, kept_states(hidden_states, layer_mask), reading, key)
    return _mixed(parameters["classifier"], attend(scores, layer_mask=layer_mask), kept_layers(z, layer_mask))


def concat_shapes(widths: Sequence[int], *, num_classes: int, dim: int) -> Shapes:
    """Returns the shapes of the concatenation's parameters; arguments as for ``laya_shapes``.

    >>> concat_shapes([3, 4], num_classes=2, dim=5)["hidden"]
    {'kernel': (10, 5), 'bias': (5,)}
    """
    return {
        **adapter_shapes(widths, dim),
        "hidden": affine_shapes(len(widths) * dim, dim),
        "classifier": affine_shapes(dim, num_classes),
    }


def concat(
    parameters: Parameters,
    hidden_states: HiddenStates,
    *,
    reading: Reading = PLAIN,
    layer_mask: LayerMask | None = None,
    key: Array | None = None,
) -> HeadOutput:
    """Concatenation of all adapted layers and a small MLP: ``logits = W GELU(V [z_1, ..., z_L]) + b``.

    Arguments as for ``laya``; masked layers enter as zeros. Attention and contributions are None: the MLP
    mixes the layers nonlinearly.

    Reference: LAYA (arXiv 2511.12723), baseline Concat.

    >>> shapes = concat_shapes([3, 4], num_classes=2, dim=5)
    >>> parameters = jax.tree.map(jnp.ones, shapes, is_leaf=lambda shape: isinstance(shape, tuple))
    >>> concat(parameters, [jnp.ones((1, 3)), jnp.ones((1, 4))]).logits.shape
    (1, 2)
    """
    layer_mask = with_layer_dropout(layer_mask, hidden_states, reading, key)
    states = kept_states(hidden_states, layer_mask)
    z = kept_layers(adapted_layers(parameters, states, reading, key), layer_mask)
    batch, layers, dim = z.shape
    aggregate = gelu(affine(parameters["hidden"], z.reshape(batch, layers * dim)))
    return HeadOutput(affine(parameters["classifier"], aggregate), None, None, aggregate)


def last_layer_shapes(widths: Sequence[int], *, num_classes: int) -> Shapes:
    """Returns the shapes of the last-layer head's parameters; arguments as for ``laya_shapes``.

    >>> last_layer_shapes([3, 4], num_classes=2)
    {'classifier': {'kernel': (4, 2), 'bias': (2,)}}
    """
    return {"classifier": affine_shapes(widths[-1], num_classes)}


def last_layer(
    parameters: Parameters,
    hidden_states: HiddenStates,
    *,
    layer_normalized: bool = False,
    layer_mask: LayerMask | None = None,
) -> HeadOutput:
    """The usual output layer: ``logits = W h_L + b``. Attention is 1 on the last layer.

    Arguments and result as for ``laya``; if the last layer is masked, only the bias is left.

    >>> parameters = {"classifier": {"kernel": jnp.ones((4, 2)), "bias": jnp.zeros(2)}}
    >>> output = last_layer(parameters, [jnp.ones((1, 3)), jnp.ones((1, 4))])
    >>> output.logits, output.attention
    (Array([[4., 4.]], dtype=float32), Array([[0., 1.]], dtype=float32))
    """
    last, classifier = hidden_states[-1], parameters["classifier"]
    state = layer_normalize([last])[0] if layer_normalized else last
    keep = True if layer_mask is None else layer_mask[..., -1:].reshape(-1, 1)
    aggregate = jnp.where(keep, state, 0)
    attention = jnp.where(keep, jnp.ones_like(state[:, :1], jnp.promote_types(state.dtype, jnp.float32)), 0)
    contribution = jnp.matmul(aggregate, classifier["kernel"], precision=EXACT)[:, None]
    earlier = ((0, 0), (len(hidden_states) - 1, 0))
    return HeadOutput(
        affine(classifier, aggregate, EXACT),
        jnp.pad(attention, earlier),
        jnp.pad(contribution, (*earlier, (0, 0))),
        aggregate,
    )


def _mixed(
    classifier: Affine, attention: Float[Array, "batch layer heads"], z: Float[Array, "batch layer dim"]
) -> HeadOutput:
    aggregate = mix(attention, z)
    contributions = contribute(attention, z, classifier["kernel"])
    # As exact as the contributions, which have to sum to the logits.
    logits = affine(classifier, aggregate, EXACT)
    return HeadOutput(logits, jnp.mean(attention, axis=2), contributions, aggregate)
