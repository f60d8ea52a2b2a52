"""Selection of layers by name, and pooling of their hidden states; shared by Linen and NNX."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import jax

from laya_jax.checks import check_choice
from laya_jax.hidden_states.layer_calls import Call, LayerOutput
from laya_jax.hidden_states.pooling import POOLINGS, pool
from laya_jax.typing import Array, ArrayLike, Bool, Captured


def as_patterns(
    layers: str | int | Sequence[str | int], names: Callable[[], Sequence[str]]
) -> tuple[str, ...]:
    """Converts layers to name patterns; indices are looked up in the names, which are computed on demand.

    >>> as_patterns(["block_*", -1], lambda: ["block_0", "block_1", "norm"])
    ('block_*', 'norm')
    """
    chosen = tuple(layers) if isinstance(layers, Sequence) and not isinstance(layers, str) else (layers,)
    if not chosen:
        raise ValueError("layers is empty, expected at least one name, pattern or index")
    for layer in chosen:
        if isinstance(layer, bool) or not isinstance(layer, str | int):
            raise TypeError(f"layers holds {layer!r}, expected names, patterns or indices")
    patterns = tuple(layer for layer in chosen if isinstance(layer, str))
    if len(patterns) == len(chosen):
        return patterns
    known = names()
    for layer in chosen:
        if isinstance(layer, int) and not -len(known) <= layer < len(known):
            raise ValueError(
                f"layers holds index {layer}, but there are {len(known)} layers: {', '.join(known)}"
            )
    return tuple(layer if isinstance(layer, str) else known[layer] for layer in chosen)


def names_of(outputs: Sequence[LayerOutput]) -> tuple[str, ...]:
    """Lists the distinct layers that returned an array.

    >>> names_of([LayerOutput("a", None, problem="..."), LayerOutput("b", None, empty=True)])
    ('a',)
    """
    return tuple(dict.fromkeys(output.name for output in outputs if not output.empty))


def matches(name: str, pattern: str) -> bool:
    """Returns True if a layer's name matches a pattern, level by level from the end.

    >>> matches("encoder/block_10", "block_*"), matches("encoder/block_1/mlp", "block_*")
    (True, False)
    """
    return name == pattern or (bool(PurePosixPath(pattern).parts) and PurePosixPath(name).match(pattern))


def may_reach(pattern: str, layer: str, method: str = "") -> bool:
    """Returns True if a pattern may match a method of a layer: by name, or as the layer's only method.

    >>> [may_reach(pattern, "block_0", "encode") for pattern in ("block_*", "block_*.encode", "*.decode")]
    [True, True, False]
    """
    return matches(layer, pattern) or (bool(method) and _names_method(pattern, layer, method))


def all_reached(patterns: Sequence[str], calls: Sequence[Call]) -> bool:
    """Tells whether every pattern can mean one of the calls.

    >>> all_reached(["block_*"], [])
    False
    """
    outputs = [call.output for call in calls]
    return all(any(may_reach(pattern, o.layer, o.method) for o in outputs) for pattern in patterns)


def choose(
    outputs: Sequence[LayerOutput], patterns: Sequence[str], names: Callable[[], Sequence[str]]
) -> list[LayerOutput]:
    """Selects the outputs pattern by pattern, each layer once.

    Raises:
      ValueError: A pattern matches no layer (the message lists the layers), or a layer has a problem.

    >>> choose([LayerOutput("a", jnp.ones(1))], ["b"], lambda: ["a"])
    Traceback (most recent call last):
      ...
    ValueError: layers holds 'b', but no layer that returns an array matches it; there are: a
    """
    chosen: list[LayerOutput] = []
    for pattern in patterns:
        found = _found(outputs, pattern)
        if not found:
            raise ValueError(
                f"layers holds {pattern!r}, but no layer that returns an array matches it; "
                f"there are: {', '.join(names()) or 'none'}"
            )
        for output in found:
            if output.problem:
                raise ValueError(f"layer {output.name!r} {output.problem}")
        already = {output.name for output in chosen}
        chosen += [output for output in found if output.name not in already]
    return chosen


def _found(outputs: Sequence[LayerOutput], pattern: str) -> list[LayerOutput]:
    # Other methods of a layer with a __call__ are helpers, which match only by their own name.
    called = {output.layer for output in outputs if not output.method}
    found = [
        output
        for output in outputs
        if (matches(output.layer, pattern) and not (output.method and output.layer in called))
        or (output.method and _names_method(pattern, output.layer, output.method))
    ]
    # An exact name selects that layer, even if other names end with it.
    found = [output for output in found if pattern in (output.name, output.layer)] or found
    return [output for output in found if not output.empty] or found


def _names_method(pattern: str, layer: str, method: str) -> bool:
    of_layer, _, of_method = pattern.rpartition(".")
    return matches(layer, of_layer) and fnmatchcase(method, of_method)


def as_hidden_states(
    outputs: Sequence[LayerOutput],
    pooling: str | None,
    mask: Bool[ArrayLike, "batch *positions"] | None,
    frozen: bool,
) -> Captured:
    """Pools the outputs and stops their gradient, if requested.

    >>> output = LayerOutput("a", jnp.ones((2, 5, 3)))
    >>> as_hidden_states([output], "mean", None, frozen=True)[0].shape
    (2, 3)
    """

    def pooled(state: Array) -> Array:
        state = jax.lax.stop_gradient(state) if frozen else state
        return state if pooling is None else pool(state, pooling, mask)

    values = [(output.value, output.scanned) for output in outputs if output.value is not None]
    if len(values) == 1 and values[0][1]:
        return jax.vmap(pooled)(values[0][0])
    return tuple(
        pooled(state) for value, scanned in values for state in (list(value) if scanned else [value])
    )


def check_pooling(pooling: str | None, pooling_mask: object) -> None:
    """Checks the name of a pooling, and that a mask comes with a pooling.

    >>> check_pooling("mean", None)
    """
    if pooling is not None:
        check_choice("pooling", pooling, tuple(POOLINGS))
    elif pooling_mask is not None:
        raise ValueError(f"pooling_mask came without a pooling, expected one of {', '.join(POOLINGS)}")
