"""Faithfulness of attention: effects of deleting layers and of replacing attention."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution.contributions import margins
from laya_jax.attribution.depth_profiles import class_profile
from laya_jax.attribution.explanation import Explanation
from laya_jax.typing import Array, Bool, Float


class Replacement(NamedTuple):
    """Predictions after replacing attention.

    Attributes:
      accuracy: Fraction of the samples that are classified correctly.
      flips: Fraction of the samples whose predicted class changes.
    """

    accuracy: float
    flips: float


class ReplacedAttention(NamedTuple):
    """Predictions with attention replaced by versions that depend less, or differently, on the sample.

    Attributes:
      own: Predictions with the attention itself.
      uniform: Predictions with equal attention to all layers.
      mean: Predictions with the mean attention over all samples.
      class_mean: Predictions with the mean attention over samples of the same predicted class.
      permuted: Predictions with the attention of another sample.
      top_layer: Predictions with all attention on the top layer.
    """

    own: Replacement
    uniform: Replacement
    mean: Replacement
    class_mean: Replacement
    permuted: Replacement
    top_layer: Replacement


def deletion_flips(
    predict: Callable[[Bool[Array, "batch layer"]], Float[Array, "batch classes"]],
    attention: Float[Array, "batch layer"],
) -> Bool[Array, "batch layer"]:
    """Finds the predictions that change when one layer is masked, with layers in order of attention.

    If attention is faithful, more predictions change in the first column, without the top-attention layer,
    than in the others.

    Args:
      predict: Function from a layer mask (True for each layer that may be used) to logits.
      attention: Attention of each sample over the layers.

    Returns:
      True where the predicted class changes without the layer of highest attention, of second highest, ...

    >>> votes = jnp.array([[[2.0, 0.0], [0.0, 1.0]]])  # layer 0 adds 2 to class 0, layer 1 adds 1 to class 1
    >>> predict = lambda mask: jnp.sum(votes * mask[:, :, None], axis=1)
    >>> deletion_flips(predict, jnp.array([[0.9, 0.1]]))
    Array([[ True, False]], dtype=bool)
    """
    layers = jnp.arange(attention.shape[1])
    order = jnp.argsort(-attention, axis=1)
    before = jnp.argmax(predict(jnp.ones(attention.shape, bool)), axis=1)
    masks = [layers[None] != order[:, rank, None] for rank in range(len(layers))]
    return jnp.stack([jnp.argmax(predict(mask), axis=1) != before for mask in masks], axis=1)


def completeness_gap(explanation: Explanation, logits: NDArray) -> float:
    """Computes the largest gap between logits and the sum of bias and contributions, over the largest logit.

    >>> votes = np.array([[[2.0], [4.0]]])
    >>> completeness_gap(
    ...     Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(1)), np.array([[3.0]])
    ... )
    0.0
    """
    largest = max(float(np.abs(logits).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(explanation.logits - logits).max()) / largest


def replaced_attention(explanation: Explanation, labels: NDArray, seed: int = 0) -> ReplacedAttention:
    """Predicts with attention replaced by versions that depend less, or differently, on the sample.

    Args:
      explanation: Explanation of N samples.
      labels: True classes, [N].
      seed: Random seed of the permutation.
    """
    attention, before = explanation.head_attention, np.argmax(explanation.logits, axis=1)
    number, layers, heads = attention.shape
    classes = len(explanation.bias)
    by_class = np.stack(
        [class_profile(attention[..., head], before, classes).attention for head in range(heads)], axis=2
    )

    def replaced(other: NDArray) -> Replacement:
        after = np.argmax(explanation.logits_with(other), axis=1)
        return Replacement(float(np.mean(after == labels)), float(np.mean(after != before)))

    return ReplacedAttention(
        own=replaced(attention),
        uniform=replaced(np.full_like(attention, 1 / layers)),
        mean=replaced(np.broadcast_to(attention.mean(axis=0), attention.shape)),
        class_mean=replaced(by_class[before]),
        permuted=replaced(attention[np.random.default_rng(seed).permutation(number)]),
        top_layer=replaced(np.eye(layers)[np.argmax(explanation.attention, axis=1)]),
    )


def opposing_top_layer(explanation: Explanation) -> float:
    """Computes how often the top-attention layer opposes the prediction.

    It does if it contributes more to the logit of the runner-up class than to that of the predicted class.

    >>> votes = np.array([[[0.0, 1.0], [5.0, 0.0]]])
    >>> scores = np.log([[0.6, 0.4]])
    >>> opposing_top_layer(Explanation(scores, votes, np.ones((1, 2)), np.zeros(2)))
    1.0
    """
    top = np.argmax(explanation.attention, axis=1)
    return float(np.mean(margins(explanation)[np.arange(len(top)), top] < 0))
