"""Whether attention tells what a head used."""

from collections.abc import Callable

import jax.numpy as jnp

from laya_jax.typing import Array, Bool, Float


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
