"""Predictions from some of the layers.

A masked layer gets no attention and the rest is renormalised, as the heads' ``layer_mask`` does. Nothing but
attention changes, so that all 2^L sets of layers of many samples are one compiled program.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution.explanation import Explanation
from laya_jax.layer_attention import EXACT, attend
from laya_jax.typing import Array

EXHAUSTIVE = 12
"""Number of layers up to which every set of them is tried; above, sets are sampled."""

LARGEST = 2**24
"""Numbers that a program may hold at once; samples are taken in as few parts as that allows."""


def masked_logits(explanation: Explanation, masks: NDArray) -> NDArray:
    """The logits that are left with some of the layers only.

    Args:
      explanation: of N samples.
      masks: True where a layer is kept, [M, L]; with no layer, the bias is left.

    Returns:
      [M, N, K].

    Raises:
      ValueError, TypeError: masks of another shape or dtype.

    >>> alone = Explanation(np.zeros((1, 2)), np.array([[[2.0], [4.0]]]), np.ones((1, 2)), np.ones(1))
    >>> masked_logits(alone, np.array([[True, True], [True, False], [False, False]]))[:, 0, 0]
    array([4., 3., 1.], dtype=float32)
    """
    masks, layers = np.asarray(masks), explanation.by_head[0].shape[1]
    if masks.dtype != bool:
        raise TypeError(f"masks has dtype {masks.dtype}, expected bool (True keeps a layer)")
    if masks.ndim != 2 or masks.shape[1] != layers:
        raise ValueError(f"masks has shape {masks.shape}, expected [mask, {layers}]")
    return np.concatenate(in_parts(logits_of_masks, explanation, masks), axis=1)


def all_masks(layers: int) -> NDArray:
    """Every set of layers, [2^L, L]; the first is empty, the last is whole.

    >>> all_masks(2)
    array([[False, False],
           [ True, False],
           [False,  True],
           [ True,  True]])
    """
    return (np.arange(2**layers)[:, None] >> np.arange(layers)) % 2 == 1


def in_parts(function: Callable[..., Any], explanation: Explanation, masks: NDArray, *more: NDArray) -> list:
    """What a compiled function makes of the samples, as many at a time as memory allows.

    Args:
      function: of (scores, votes, bias, masks, *more).
      explanation: of N samples.
      masks: as many as the function treats at once, on axis 0.
      *more: further arrays.

    Returns:
      Its results for each part of the samples.
    """
    number, layers, heads, classes = explanation.by_head[1].shape
    at_once = max(1, LARGEST // (max(1, len(masks)) * max(layers * heads, classes)))
    return [
        jax.tree.map(np.asarray, function(*arrays_of(explanation.take(slice(i, i + at_once))), masks, *more))
        for i in range(0, max(number, 1), at_once)
    ]


def arrays_of(explanation: Explanation) -> tuple[NDArray, NDArray, NDArray]:
    """Scores [N, L, G], votes [N, L, G, K] and bias [K] in float32."""
    scores, votes, bias = (
        np.asarray(array, np.float32) for array in (*explanation.by_head, explanation.bias)
    )
    return scores, votes, bias


def logits_of_mask(scores: Array, votes: Array, bias: Array, mask: Array) -> Array:
    """Logits [n, K] with one mask, [L] or [n, L]."""
    attention = attend(scores, layer_mask=mask)
    return bias[None] + jnp.einsum("nlg,nlgk->nk", attention, votes, precision=EXACT)


@jax.jit
def logits_of_masks(scores: Array, votes: Array, bias: Array, masks: Array) -> Array:
    """Logits [M, n, K] with each mask, [M, L]."""
    return jax.vmap(partial(logits_of_mask, scores, votes, bias))(masks)
