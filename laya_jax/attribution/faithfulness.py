"""Whether attention tells what a head used."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution.contributions import margins
from laya_jax.attribution.explanation import Explanation
from laya_jax.attribution.profiles import class_profile
from laya_jax.typing import Array, Bool, Float


class Replacement(NamedTuple):
    """What is left of the predictions with another attention.

    Attributes:
      accuracy: share of the samples classified right.
      flips: share whose predicted class changes.
    """

    accuracy: float
    flips: float


def deletion_flips(
    predict: Callable[[Bool[Array, "batch layer"]], Float[Array, "batch classes"]],
    attention: Float[Array, "batch layer"],
) -> Bool[Array, "batch layer"]:
    """Which predictions change when one layer is masked, layers in order of their attention.

    Attention that tells what the head used changes more predictions in the first column, without the
    layer of most attention, than in the others.

    Args:
      predict: logits from a layer mask, True where a layer may be used.
      attention: of each sample over the layers.

    Returns:
      Whether the predicted class is another one without the layer of most attention, of second most, ...

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
    """How far bias and contributions are from the logits, at most, relative to the largest logit.

    >>> votes = np.array([[[2.0], [4.0]]])
    >>> completeness_gap(
    ...     Explanation(np.zeros((1, 2)), votes, np.ones((1, 2)), np.zeros(1)), np.array([[3.0]])
    ... )
    0.0
    """
    largest = max(float(np.abs(logits).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(explanation.logits - logits).max()) / largest


def replaced_attention(explanation: Explanation, labels: NDArray, seed: int = 0) -> dict[str, Replacement]:
    """What is left of the predictions if attention does not depend on the sample as it does.

    own: as it is; uniform; mean: over all samples; class_mean: over those of the same predicted class;
    permuted: another sample's; top_layer: all on the layer of most attention.

    Args:
      explanation: of N samples.
      labels: true classes, [N].
      seed: of the permutation.
    """
    attention, before = explanation.head_attention, np.argmax(explanation.logits, axis=1)
    number, layers, heads = attention.shape
    classes = len(explanation.bias)
    by_class = np.stack(
        [class_profile(attention[..., head], before, classes).attention for head in range(heads)], axis=2
    )
    replaced = {
        "own": attention,
        "uniform": np.full_like(attention, 1 / layers),
        "mean": np.broadcast_to(attention.mean(axis=0), attention.shape),
        "class_mean": by_class[before],
        "permuted": attention[np.random.default_rng(seed).permutation(number)],
        "top_layer": np.eye(layers)[np.argmax(explanation.attention, axis=1)],
    }
    found = {}
    for name, other in replaced.items():
        after = np.argmax(explanation.logits_with(other), axis=1)
        found[name] = Replacement(float(np.mean(after == labels)), float(np.mean(after != before)))
    return found


def opposing_top_layer(explanation: Explanation) -> float:
    """How often the layer of most attention argues against the prediction.

    That is, it adds more to the logit of the class in second place than to that of the predicted one.

    >>> votes = np.array([[[0.0, 1.0], [5.0, 0.0]]])
    >>> scores = np.log([[0.6, 0.4]])
    >>> opposing_top_layer(Explanation(scores, votes, np.ones((1, 2)), np.zeros(2)))
    1.0
    """
    top = np.argmax(explanation.attention, axis=1)
    return float(np.mean(margins(explanation)[np.arange(len(top)), top] < 0))
