"""Ordered hidden states out of any Linen model; ``laya_jax.nnx.capture`` does it for NNX."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from laya_jax.checks import check_choice
from laya_jax.pooling import POOLINGS, pool
from laya_jax.typing import Array, HiddenStates


class LayerOutput(NamedTuple):
    """What one call of a layer returned; ``scanned`` if it stands for a whole stack, axis 0 being depth."""

    name: str
    value: Array
    scanned: bool


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


def traced_names(run: Callable[..., Sequence[LayerOutput]], *arguments: Any) -> tuple[str, ...]:
    """Names of the outputs of a run, which is traced; arrays among the arguments may be shapes only.

    >>> traced_names(lambda x: [LayerOutput("a", x + 1, False)], jax.ShapeDtypeStruct((2,), "float32"))
    ('a',)
    """
    leaves, structure = jax.tree.flatten(arguments)
    places = [place for place, leaf in enumerate(leaves) if hasattr(leaf, "shape")]
    names: dict[str, None] = {}

    def trace(arrays: list[Array]) -> None:
        filled = dict(enumerate(leaves)) | dict(zip(places, arrays, strict=True))
        for output in run(*jax.tree.unflatten(structure, filled.values())):
            names[output.name] = None

    jax.eval_shape(trace, [leaves[place] for place in places])
    return tuple(names)


def as_patterns(layers: Any, names: Callable[[], Sequence[str]]) -> tuple[str, ...]:
    """Layers as name patterns: indices are looked up among the names, which are asked for if needed.

    >>> as_patterns(["block_*", -1], lambda: ["block_0", "block_1", "norm"])
    ('block_*', 'norm')
    """
    several = isinstance(layers, Sequence) and not isinstance(layers, str)
    layers = tuple(layers) if several else (layers,)
    if not layers:
        raise ValueError("layers is empty, expected at least one name, pattern or index")
    for layer in layers:
        if isinstance(layer, bool) or not isinstance(layer, str | int):
            raise TypeError(f"layers holds {layer!r}, expected names, patterns or indices")
    if all(isinstance(layer, str) for layer in layers):
        return layers
    known = names()
    for layer in layers:
        if isinstance(layer, int) and not -len(known) <= layer < len(known):
            raise ValueError(
                f"layers holds index {layer}, but there are {len(known)} layers: {', '.join(known)}"
            )
    return tuple(layer if isinstance(layer, str) else known[layer] for layer in layers)


def matches(name: str, pattern: str) -> bool:
    """Whether a layer's name matches a pattern, level by level from the end.

    >>> matches("encoder/block_10", "block_*"), matches("encoder/block_1/mlp", "block_*")
    (True, False)
    """
    return bool(PurePosixPath(pattern).parts) and PurePosixPath(name).match(pattern)


def choose(
    outputs: Sequence[LayerOutput], patterns: Sequence[str], names: Callable[[], Sequence[str]]
) -> list[LayerOutput]:
    """Outputs pattern by pattern, each layer once; raises, listing the names, where a pattern has none.

    >>> choose([LayerOutput("a", jnp.ones(1), False)], ["b"], lambda: ["a"])
    Traceback (most recent call last):
      ...
    ValueError: layers holds 'b', but no layer that returns an array matches it; there are: a
    """
    chosen: list[LayerOutput] = []
    for pattern in patterns:
        # A layer's own name means that layer, also where it ends the names of others.
        exact = [output for output in outputs if output.name == pattern]
        found = exact or [output for output in outputs if matches(output.name, pattern)]
        if not found:
            raise ValueError(
                f"layers holds {pattern!r}, but no layer that returns an array matches it; "
                f"there are: {', '.join(names()) or 'none'}"
            )
        already = {output.name for output in chosen}
        chosen += [output for output in found if output.name not in already]
    return chosen


def as_hidden_states(
    outputs: Sequence[LayerOutput], pooling: str | None, mask: Any, frozen: bool
) -> HiddenStates:
    """Pools the outputs and stops their gradient, as asked for.

    >>> output = LayerOutput("a", jnp.ones((2, 5, 3)), scanned=False)
    >>> as_hidden_states([output], "mean", None, frozen=True)[0].shape
    (2, 3)
    """

    def pooled(state: Array) -> Array:
        state = jax.lax.stop_gradient(state) if frozen else state
        return state if pooling is None else pool(state, pooling, mask)

    if len(outputs) == 1 and outputs[0].scanned:
        return jax.vmap(pooled)(outputs[0].value)
    states = [list(output.value) if output.scanned else [output.value] for output in outputs]
    return tuple(pooled(state) for depth in states for state in depth)


def check_pooling(pooling: str | None, pooling_mask: Any) -> None:
    """Raises unless it is None or the name of a pooling, and a mask comes with a pooling only.

    >>> check_pooling("mean", None)
    """
    if pooling is not None:
        check_choice("pooling", pooling, tuple(POOLINGS))
    elif pooling_mask is not None:
        raise ValueError(f"pooling_mask came without a pooling, expected one of {', '.join(POOLINGS)}")


def first_array(output: Any) -> Array | None:
    """The hidden state in what a layer returned: the array itself, or the first one of a tuple.

    >>> first_array((jnp.zeros(1), "attention"))
    Array([0.], dtype=float32)
    """
    while isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, jax.Array) else None


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
