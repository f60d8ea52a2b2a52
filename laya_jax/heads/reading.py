"""Reading of the layers before a head mixes them: normalisation, adapters, dropout and masks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from laya_jax.heads.layer_attention import (
    adapt,
    affine,
    drop_out,
    gelu,
    layer_normalize,
    rms_normalize,
    score_layers,
)
from laya_jax.typing import Array, Float, HiddenStates, LayerMask, Parameters


class Reading(NamedTuple):
    """Settings for the normalisation and dropout of layers.

    Attributes:
      layer_normalized: True to standardise every hidden state (mean 0, standard deviation 1) first.
      rms_normalized: True to scale every adapted layer ``z_i`` to root mean square 1.
      dropout: Dropout rate on the entries of every ``z_i``; applies only if a key is given.
      layer_dropout: Probability of masking each layer of a sample; applies only if a key is given.
    """

    layer_normalized: bool = False
    rms_normalized: bool = False
    dropout: float = 0.0
    layer_dropout: float = 0.0


PLAIN = Reading()
"""The paper's settings: no normalisation, no dropout."""


def read_layers(
    parameters: Parameters,
    hidden_states: HiddenStates,
    reading: Reading = PLAIN,
    key: Array | None = None,
) -> tuple[Float[Array, "batch layer heads"], Float[Array, "batch layer dim"]]:
    """Computes the scores and adapted layers of LAYA or of a scalar mix.

    Args:
      parameters: Head parameters; their names determine whether this is LAYA or a scalar mix.
      hidden_states: Sequence of L arrays [B, d_i], or one array [L, B, d].
      reading: Normalisation and dropout of the layers.
      key: Random key for dropout; None disables it.

    Returns:
      Scores [B, L, G] before division by the temperature, and adapted layers ``z`` [B, L, D].

    >>> adapters = {f"adapter_{i}": {"kernel": jnp.ones((3, 5)), "bias": jnp.zeros(5)} for i in range(2)}
    >>> parameters = {**adapters, "scores": jnp.ones(2)}
    >>> scores, z = read_layers(parameters, [jnp.ones((1, 3)), jnp.ones((1, 3))])
    >>> scores[..., 0], z.shape
    (Array([[1., 1.]], dtype=float32), (1, 2, 5))
    """
    z = adapted_layers(parameters, hidden_states, reading, key)
    if "scores" in parameters:
        return parameters["scores"][None, :, None] + jnp.zeros_like(z[:, :, :1]), z
    u = z
    if "psi_0" in parameters:
        u = gelu(affine(parameters["psi_1"], gelu(affine(parameters["psi_0"], z))))
    return score_layers(parameters["scorer_hidden"], parameters["scorer_output"], u), z


def adapted_layers(
    parameters: Parameters, hidden_states: HiddenStates, reading: Reading = PLAIN, key: Array | None = None
) -> Float[Array, "batch layer dim"]:
    """Adapted layers ``z_i = g_i(h_i)``, [B, L, D], after normalisation and dropout.

    Arguments as for ``read_layers``.

    >>> adapters = {"adapter_0": {"kernel": jnp.ones((3, 5)), "bias": jnp.zeros(5)}}
    >>> adapted_layers(adapters, [jnp.ones((1, 3))], Reading(rms_normalized=True))
    Array([[[1., 1., 1., 1., 1.]]], dtype=float32)
    """
    if reading.layer_normalized:
        hidden_states = layer_normalize(hidden_states)
    z = adapt([parameters[f"adapter_{i}"] for i in range(len(hidden_states))], hidden_states)
    z = rms_normalize(z) if reading.rms_normalized else z
    return drop_out(key, z, reading.dropout) if key is not None and reading.dropout else z


def with_layer_dropout(
    layer_mask: LayerMask | None, hidden_states: HiddenStates, reading: Reading, key: Array | None
) -> LayerMask | None:
    """Masks some more layers of each sample at random, unless that would leave the sample without any.

    >>> with_layer_dropout(None, [jnp.ones((1, 3))], Reading(layer_dropout=0.9), jax.random.key(0))
    Array([[ True]], dtype=bool)
    """
    if key is None or not reading.layer_dropout:
        return layer_mask
    shape = (hidden_states[0].shape[0], len(hidden_states))
    allowed = jnp.broadcast_to(True if layer_mask is None else jnp.asarray(layer_mask), shape)
    kept = allowed & jax.random.bernoulli(jax.random.fold_in(key, 1), 1 - reading.layer_dropout, shape)
    return jnp.where(jnp.any(kept, axis=1, keepdims=True), kept, allowed)


def kept_states(hidden_states: HiddenStates, layer_mask: LayerMask | None) -> HiddenStates:
    """Replaces masked hidden states by zeros, for a head that must not read masked layers.

    Zeroing the adapted layers would be too late: the gradient of an adapter's kernel is a product with the
    hidden states, which is not finite if they are not.

    >>> kept_states([jnp.array([[jnp.nan, 1.0]]), jnp.ones((1, 1))], jnp.array([False, True]))
    (Array([[0., 0.]], dtype=float32), Array([[1.]], dtype=float32))
    """
    if layer_mask is None:
        return hidden_states
    keep = jnp.broadcast_to(layer_mask, (hidden_states[0].shape[0], len(hidden_states))).T[..., None]
    if isinstance(hidden_states, Array):
        return jnp.where(keep, hidden_states, 0)
    return tuple(jnp.where(*pair, 0) for pair in zip(keep, hidden_states, strict=True))


def kept_layers(
    z: Float[Array, "batch layer dim"], layer_mask: LayerMask | None
) -> Float[Array, "batch layer dim"]:
    """Replaces masked layers by zeros: zero attention alone would let NaN and infinity through.

    >>> kept_layers(jnp.array([[[jnp.nan], [2.0]]]), jnp.array([False, True]))
    Array([[[0.],
            [2.]]], dtype=float32)
    """
    if layer_mask is None:
        return z
    return jnp.where(jnp.broadcast_to(layer_mask, z.shape[:2])[..., None], z, 0)
