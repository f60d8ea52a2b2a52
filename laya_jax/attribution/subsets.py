"""Predictions from subsets of the layers.

A masked layer gets no attention and the rest is renormalised, as with the heads' ``layer_mask``. Only
attention changes, so one compiled program serves all 2^L subsets of many samples.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution.explanation import Explanation
from laya_jax.heads import EXACT, attend
from laya_jax.typing import Array, PyTree

EXHAUSTIVE = 12
"""Largest number of layers for which all subsets are tried; beyond it, subsets are sampled."""

LARGEST = 2**24
"""Largest number of array elements that a program holds at once; samples are processed in parts
accordingly."""


def masked_logits(explanation: Explanation, masks: NDArray) -> NDArray:
    """Computes the logits with subsets of the layers.

    Args:
      explanation: Explanation of N samples.
      masks: True for each layer that is kept, [M, L]; without any layer only the bias is left.

    Returns:
      Logits [M, N, K].

    Raises:
      TypeError: The masks are not boolean.
      ValueError: The masks have another shape.

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
    """Lists every subset of the layers, [2^L, L]; the first is empty, the last is complete.

    >>> all_masks(2)
    array([[False, False],
           [ True, False],
           [False,  True],
           [ True,  True]])
    """
    return (np.arange(2**layers)[:, None] >> np.arange(layers)) % 2 == 1


def in_parts(
    function: Callable[..., PyTree], explanation: Explanation, masks: NDArray, *more: NDArray
) -> list:
    """Applies a compiled function to the samples in parts, as many samples at a time as memory allows.

    Args:
      function: Function of ``(scores, votes, bias, masks, *more)``.
      explanation: Explanation of N samples.
      masks: Masks that the function processes at once, along axis 0.
      *more: Further array arguments of the function.

    Returns:
      List of the function's results, one per part.
    """
    number, layers, heads, classes = explanation.by_head[1].shape
    at_once = max(1, LARGEST // (max(1, len(masks)) * max(layers * heads, classes)))
    return [
        jax.tree.map(np.asarray, function(*arrays_of(explanation.take(slice(i, i + at_once))), masks, *more))
        for i in range(0, max(number, 1), at_once)
    ]


def arrays_of(explanation: Explanation) -> tuple[NDArray, NDArray, NDArray]:
    """Returns scores [N, L, G], votes [N, L, G, K] and bias [K] in float32."""
    scores, votes, bias = (
        np.asarray(array, np.float32) for array in (*explanation.by_head, explanation.bias)
    )
    return scores, votes, bias


def logits_of_mask(scores: Array, votes: Array, bias: Array, mask: Array) -> Array:
    """Computes logits [n, K] with one mask, [L] or [n, L]."""
    attention = attend(scores, layer_mask=mask)
    return bias[None] + jnp.einsum("nlg,nlgk->nk", attention, votes, precision=EXACT)


@jax.jit
def logits_of_masks(scores: Array, votes: Array, bias: Array, masks: Array) -> Array:
    """Computes logits [M, n, K] with each mask of [M, L]."""
    return jax.vmap(partial(logits_of_mask, scores, votes, bias))(masks)
