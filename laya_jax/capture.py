"""Ordered hidden states out of any Linen model; ``laya_jax.nnx.capture`` does it for NNX."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from laya_jax.layer_choice import (
    LayerOutput,
    as_hidden_states,
    as_patterns,
    check_pooling,
    choose,
    first_array,
    matches,
    traced_names,
)
from laya_jax.typing import Array, HiddenStates


def capture(
    model: nn.Module,
    variables: Mapping[str, Any],
    *inputs: Any,
    layers: str | int | Sequence[str | int],
    pooling: str | None = None,
    pooling_mask: Any = None,
    frozen: bool = True,
    **options: Any,
) -> HiddenStates:
    """Runs a Linen model and returns the hidden states of the layers asked for, in order.

    The outputs of a pattern come in the order in which the model's layers return them (``block_2``
    before ``block_10``), a layer called twice comes twice, and of a layer that returns a tuple the first
    element counts. Works under jit. The model's own state, such as batch statistics, is not updated.

    Args:
      model: any Linen module.
      variables: its variables, as for ``model.apply``.
      *inputs: its inputs.
      layers: names as ``layer_names`` lists them, or indices into that list, in the order wanted. What
        is no such name is a pattern: it matches from the end of a name, and ``*`` stands for any part
        of one level: "block_*", "encoder/*/mlp".
      pooling: how to bring them to [B, D], see ``laya_jax.pool``; None leaves them as they are.
      pooling_mask: for the pooling, True where there is a token, [B, T].
      frozen: whether the gradient stops here, so that the model's parameters get none.
      **options: further keyword arguments of ``model.apply``, such as ``train=False`` or ``rngs``.

    Returns:
      A tuple of hidden states; or one array [L, B, ...] where the only layer that matches was run by
      ``nn.scan`` (which must pass on intermediates: ``variable_axes={"params": 0, "intermediates": 0}``).

    Raises:
      TypeError: layers that are neither names nor indices.
      ValueError: a name or index that no layer has (the message lists the layers), a pooling that does
        not fit, a mask without a pooling, a layer stacked by a transform in another way than by depth on
        axis 0, or layers under ``nn.jit``.

    >>> class Model(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         for width in (8, 4):
    ...             x = nn.relu(nn.Dense(width)(x))
    ...         return x
    >>> images = jnp.ones((2, 16))
    >>> variables = Model().init(jax.random.key(0), images)
    >>> [state.shape for state in capture(Model(), variables, images, layers="Dense_*")]
    [(2, 8), (2, 4)]
    """
    check_pooling(pooling, pooling_mask)

    def names() -> tuple[str, ...]:
        return layer_names(model, variables, *inputs, **options)

    patterns = as_patterns(layers, names)
    found = _run(model, variables, inputs, options, lambda name: any(matches(name, p) for p in patterns))
    return as_hidden_states(choose(found, patterns, names), pooling, pooling_mask, frozen)


def layer_names(
    model: nn.Module, variables: Mapping[str, Any], *inputs: Any, **options: Any
) -> tuple[str, ...]:
    """Names of the layers whose output ``capture`` can return, in the order in which the model returns them.

    Nothing is computed: the model is only traced. Arguments as for ``capture``.

    >>> model = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(4)])
    >>> images = jnp.ones((2, 16))
    >>> layer_names(model, model.init(jax.random.key(0), images), images)
    ('layers_0', 'layers_2')
    """
    return traced_names(
        lambda variables, inputs: _run(model, variables, inputs, options, lambda _: True), variables, inputs
    )


def _run(
    model: nn.Module,
    variables: Mapping[str, Any],
    inputs: tuple[Any, ...],
    options: Mapping[str, Any],
    wanted: Callable[[str], bool],
) -> list[LayerOutput]:
    """Outputs of the wanted layers, in the order of their calls."""
    calls: list[tuple[str, _Inner]] = []

    def note(next_function: Any, args: Any, kwargs: Any, context: Any) -> Any:
        output = next_function(*args, **kwargs)
        array = first_array(output)
        if array is not None and chosen(context.module, context.method_name):
            calls.append(("/".join(context.module.path), _Inner.of(array)))
        return output

    def chosen(module: nn.Module, method: str) -> bool:
        return method == "__call__" and bool(module.path) and wanted("/".join(module.path))

    # Intermediates left over from init would come first among the outputs of each layer.
    kept = {name: value for name, value in variables.items() if name != "intermediates"}
    with nn.intercept_methods(note):
        _, state = model.apply(kept, *inputs, capture_intermediates=chosen, **options)

    outputs: list[LayerOutput] = []
    returned = Counter[str]()
    for name, inner in calls:
        values = _at(state.get("intermediates", {}), name)
        # A transform may trace a layer more often than it returns its output.
        if returned[name] < len(values):
            value = jnp.asarray(first_array(values[returned[name]]))
            outputs.append(LayerOutput(name, value, _is_scanned(name, inner, value)))
            returned[name] += 1
    _check_all_seen(state.get("intermediates", {}), returned)
    return outputs


def _check_all_seen(intermediates: Mapping[str, Any], returned: Mapping[str, int]) -> None:
    """Raises if a layer returned more than was seen: nn.jit traces equal layers once, and keeps the trace."""
    flat = flatten_dict(intermediates, is_leaf=lambda path, _: path[-1:] == ("__call__",))
    values = {"/".join(path[:-1]): calls for path, calls in flat.items() if path[-1] == "__call__"}
    unseen = [
        name
        for name, calls in values.items()
        if sum(first_array(call) is not None for call in calls) > returned.get(name, 0)
    ]
    if unseen:
        raise ValueError(
            f"layers {', '.join(unseen)} run under nn.jit, where their calls cannot be told apart; expected "
            "a model without it: jax.jit around the whole call compiles as well"
        )


class _Inner(NamedTuple):
    """What a layer's output was inside all transforms; the array itself would leak out of them."""

    shape: tuple[int, ...]
    over_samples: bool

    @classmethod
    def of(cls, array: Array) -> "_Inner":
        # JAX has no public test for what it traces with; a tracer of vmap is known by its batch_dim.
        return cls(array.shape, hasattr(array, "batch_dim"))


def _is_scanned(name: str, inner: _Inner, value: Array) -> bool:
    """Whether a layer's output was stacked by depth, which its value as it came out of the layer tells."""
    # nn.vmap over samples only takes an axis away and gives it back.
    over_samples = inner.over_samples and not _Inner.of(value).over_samples
    if value.ndim == len(inner.shape) or over_samples:
        return False
    if value.shape[1:] != inner.shape:
        raise ValueError(
            f"layer {name!r} returns {inner.shape} and was stacked to {value.shape} by a transform, "
            'expected depth on axis 0: nn.scan(..., variable_axes={"intermediates": 0})'
        )
    return True


def _at(intermediates: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    for level in name.split("/"):
        intermediates = intermediates.get(level, {})
    return intermediates.get("__call__", ())
