"""Attention over layers, as pure functions: hidden states -> z -> scores -> attention -> mix.

Shapes: B samples, L layers, d_i the width of layer i, D the shared width, G attention heads, K classes.
Layers are on axis 1 of every array that has them.
"""

import jax
import jax.numpy as jnp
import numpy as np

from laya_jax.typing import Affine, Array, Bool, Float, HiddenStates

SMALLEST_TEMPERATURE = float(np.finfo(np.float32).tiny)
"""Smallest temperature that float32 can distinguish from zero."""

EXACT = jax.lax.Precision.HIGHEST
"""Precision of the small products that attention and attributions depend on; by default a TPU would round
their factors to bfloat16."""


def affine(
    parameters: Affine,
    inputs: Float[Array, "*axes width"],
    precision: jax.lax.Precision | None = None,
) -> Float[Array, "*axes dim"]:
    """Applies one affine map to the last axis: ``inputs @ kernel + bias``.

    Args:
      parameters: Kernel [width, dim] and bias [dim].
      inputs: Array [..., width].
      precision: Precision of the product; None uses the backend's default.

    Returns:
      Array [..., dim].

    >>> affine({"kernel": jnp.array([[2.0], [3.0]]), "bias": jnp.array([1.0])}, jnp.array([[1.0, 1.0]]))
    Array([[6.]], dtype=float32)
    """
    outputs = jnp.matmul(inputs, parameters["kernel"], precision=precision)
    return outputs + jnp.expand_dims(parameters["bias"], range(outputs.ndim - 1))


def gelu(inputs: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
    """Exact Gaussian error linear unit, ``x * Phi(x)``, using the error function (paper, section 3).

    >>> gelu(jnp.array([0.0, 9.0]))
    Array([0., 9.], dtype=float32)
    """
    return jax.nn.gelu(inputs, approximate=False)


def adapt(adapters: list[Affine], hidden_states: HiddenStates) -> Float[Array, "batch layer dim"]:
    """Projects every hidden state to the shared width: ``z_i = h_i @ kernel_i + bias_i``.

    A stacked array is projected by a single batched matrix product.

    Args:
      adapters: Affine maps [d_i, D], one per layer.
      hidden_states: Sequence of L arrays [B, d_i], or one array [L, B, d].

    Returns:
      Adapted layers ``z`` [B, L, D].

    Reference: LAYA (arXiv 2511.12723), the equation for ``g_i``.

    >>> adapters = [{"kernel": jnp.ones((width, 2)), "bias": jnp.zeros(2)} for width in (3, 4)]
    >>> adapt(adapters, [jnp.ones((1, 3)), jnp.ones((1, 4))])
    Array([[[3., 3.],
            [4., 4.]]], dtype=float32)
    """
    if isinstance(hidden_states, Array):
        kernels = jnp.stack([adapter["kernel"] for adapter in adapters])
        biases = jnp.stack([adapter["bias"] for adapter in adapters])
        z = jnp.einsum("lbi,lid->bld", hidden_states, kernels)
        return z + biases[None]
    return jnp.stack([affine(*pair) for pair in zip(adapters, hidden_states, strict=True)], axis=1)


def layer_normalize(hidden_states: HiddenStates) -> HiddenStates:
    """Standardises every hidden state to mean 0 and standard deviation 1 over its width.

    Layers of a pretrained network may differ greatly in scale. There is no learned scale or shift, which the
    adapter that follows provides.

    Args:
      hidden_states: Sequence of L arrays [B, d_i], or one array [L, B, d].

    Returns:
      Hidden states of the same shapes and dtypes; a constant one becomes zeros.

    Reference: Ba et al. 2016, Layer normalization.

    >>> layer_normalize([jnp.array([[1.0, 3.0]])])[0].round(3)
    Array([[-1.,  1.]], dtype=float32)
    """
    return jax.tree.map(_standardized, hidden_states)


def drop_out(key: Array, z: Float[Array, "batch layer dim"], rate: float) -> Float[Array, "batch layer dim"]:
    """Inverted dropout: zeroes entries with probability ``rate`` and divides the rest by ``1 - rate``.

    Args:
      key: Random key.
      z: Adapted layers [B, L, D].
      rate: Dropout rate, in [0, 1).

    Reference: Srivastava et al. 2014, Dropout.

    >>> kept = drop_out(jax.random.key(0), jnp.ones((1, 2, 100)), 0.5)
    >>> sorted(set(kept.ravel().tolist()))
    [0.0, 2.0]
    """
    keep = jax.random.bernoulli(key, 1 - rate, z.shape)
    return jnp.where(keep, z / (1 - rate), 0).astype(z.dtype)


def rms_normalize(z: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Scales every ``z_i`` to root mean square 1: ``z_i / sqrt(mean(z_i**2))``.

    Without it, an adapter can be scaled up and its attention scaled down with hardly any change in the
    predictions, so that attention carries no information about how much a layer contributes.

    Args:
      z: Adapted layers [..., D].

    Returns:
      Array [..., D], in the dtype of ``z``; zeros stay zeros.

    >>> normalized = rms_normalize(jnp.array([[[3e-20, 4e-20], [0.0, 0.0]]]))
    >>> jnp.mean(normalized**2, axis=-1).round(3)
    Array([[1., 0.]], dtype=float32)
    """
    precise = _at_least_float32(z)
    # Squares neither overflow nor vanish once the largest number is 1.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(precise), axis=-1, keepdims=True))
    scaled = precise / jnp.where(largest == 0, 1, largest)
    mean_square = jnp.mean(jnp.square(scaled), axis=-1, keepdims=True)
    return (scaled * jax.lax.rsqrt(jnp.where(mean_square == 0, 1, mean_square))).astype(z.dtype)


def score_layers(
    hidden: Affine, output: Affine, u: Float[Array, "batch layer dim"]
) -> Float[Array, "batch layer heads"]:
    """Scores all layers together: ``s = output(GELU(hidden([u_1, ..., u_L])))``.

    Args:
      hidden: First affine map of the scorer, [L * D, width].
      output: Second affine map of the scorer, [width, L * G].
      u: Scorer input for each layer, [B, L, D].

    Returns:
      Scores per sample, layer and attention head, [B, L, G].

    Reference: LAYA (arXiv 2511.12723), the scorer.

    >>> hidden = {"kernel": jnp.ones((4, 3)), "bias": jnp.zeros(3)}
    >>> output = {"kernel": jnp.ones((3, 2)), "bias": jnp.array([0.0, 1.0])}
    >>> score_layers(hidden, output, jnp.zeros((1, 2, 2)))[..., 0]
    Array([[0., 1.]], dtype=float32)
    """
    batch, layers, dim = u.shape
    scores = affine(output, gelu(affine(hidden, u.reshape(batch, layers * dim))))
    return scores.reshape(batch, layers, scores.shape[1] // layers)


def attend(
    scores: Float[Array, "batch layer heads"],
    temperature: float = 1.0,
    layer_mask: Bool[Array | np.ndarray, " layer"] | Bool[Array | np.ndarray, "batch layer"] | None = None,
) -> Float[Array, "batch layer heads"]:
    """Turns scores into attention over layers: ``softmax(scores / temperature)``, for each attention head.

    Args:
      scores: Scores per layer, [B, L, G].
      temperature: Divisor of the scores, greater than 0; smaller values sharpen attention. The limits are
        argmax (zero) and uniform attention (infinity).
      layer_mask: True for each layer that may be attended to, [L] for all samples or [B, L]. Masked layers
        get exactly zero and the others sum to 1; a sample without any layer gets zeros.

    Returns:
      Attention [B, L, G], in float32 or better whatever the dtype of the scores.

    Reference: LAYA (arXiv 2511.12723), the equation for ``alpha``.

    >>> attend(jnp.array([[[0.0], [0.0], [5.0]]]), layer_mask=jnp.array([True, True, False]))[..., 0]
    Array([[0.5, 0.5, 0. ]], dtype=float32)
    """
    scores = _at_least_float32(scores)
    keep = jnp.broadcast_to(True if layer_mask is None else layer_mask, scores.shape[:2])[..., None]
    # Subtracting the largest score first keeps every temperature from overflowing.
    largest = jnp.max(scores, axis=1, keepdims=True, where=keep, initial=-jnp.inf)
    centred = jnp.where(keep, scores - jax.lax.stop_gradient(largest), 0.0)
    weights = jnp.where(keep, jnp.exp(centred / temperature), 0.0)
    total = jnp.sum(weights, axis=1, keepdims=True)
    return weights / jnp.where(total == 0, 1.0, total)


def mix(
    attention: Float[Array, "batch layer heads"], z: Float[Array, "batch layer dim"]
) -> Float[Array, "batch dim"]:
    """Averages the layers, weighed by attention: ``h_agg = sum_i alpha_i z_i``.

    With several attention heads, each weighs its own slice of the width, as in a transformer.

    Args:
      attention: Attention [B, L, G].
      z: Adapted layers [B, L, D]; G must divide D.

    Returns:
      Aggregate [B, D], in the dtype of ``z``.

    Reference: LAYA (arXiv 2511.12723), the equation for ``h_agg``.

    >>> mix(jnp.array([[[0.25], [0.75]]]), jnp.array([[[4.0], [8.0]]]))
    Array([[7.]], dtype=float32)
    >>> mix(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]), jnp.array([[[4.0, 5.0], [8.0, 9.0]]]))
    Array([[4., 9.]], dtype=float32)
    """
    batch, layers, dim = z.shape
    heads = attention.shape[2]
    parts = z.astype(attention.dtype).reshape(batch, layers, heads, dim // heads)
    mixed = jnp.einsum("blg,blgd->bgd", attention, parts, precision=EXACT)
    return mixed.reshape(batch, dim).astype(z.dtype)


def vote(
    z: Float[Array, "batch layer dim"], kernel: Float[Array, "dim classes"], heads: int
) -> Float[Array, "batch layer heads classes"]:
    """Logits of each layer alone, per attention head and before weighing: ``z_i @ kernel``.

    Args:
      z: Adapted layers [B, L, D].
      kernel: Kernel of the classifier, [D, K].
      heads: Number of attention heads, G, which must divide D.

    Returns:
      Votes [B, L, G, K].

    >>> vote(jnp.array([[[4.0, 5.0]]]), jnp.array([[1.0], [10.0]]), heads=2)[..., 0]
    Array([[[ 4., 50.]]], dtype=float32)
    """
    batch, layers, dim = z.shape
    if heads == 1:
        return jnp.matmul(z, kernel, precision=EXACT)[:, :, None]
    parts, kernels = z.reshape(batch, layers, heads, dim // heads), kernel.reshape(heads, dim // heads, -1)
    return jnp.einsum("blgd,gdk->blgk", parts, kernels, precision=EXACT)


def contribute(
    attention: Float[Array, "batch layer heads"],
    z: Float[Array, "batch layer dim"],
    kernel: Float[Array, "dim classes"],
) -> Float[Array, "batch layer classes"]:
    """Contribution of each layer to each logit: ``alpha_i (z_i @ kernel)``, summed over attention heads.

    Mix and classifier are linear, so the bias plus the sum over layers is the logit.

    Args:
      attention: Attention [B, L, G].
      z: Adapted layers [B, L, D].
      kernel: Kernel of the classifier, [D, K].

    Returns:
      Contributions [B, L, K], in the dtype of ``z``.

    >>> contribute(jnp.array([[[0.25], [0.75]]]), jnp.array([[[4.0], [8.0]]]), jnp.array([[1.0, -1.0]]))
    Array([[[ 1., -1.],
            [ 6., -6.]]], dtype=float32)
    """
    votes = vote(z, kernel, attention.shape[2]).astype(attention.dtype)
    return jnp.einsum("blg,blgk->blk", attention, votes, precision=EXACT).astype(z.dtype)


def _standardized(state: Array) -> Array:
    precise = _at_least_float32(state)
    # Rounding leaves a constant's deviations not quite zero, and dividing by their size would blow them up.
    constant = jnp.max(precise, axis=-1, keepdims=True) == jnp.min(precise, axis=-1, keepdims=True)
    centred = jnp.where(constant, 0, precise - jnp.mean(precise, axis=-1, keepdims=True))
    return rms_normalize(centred).astype(state.dtype)


def _at_least_float32(array: Array) -> Array:
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))
