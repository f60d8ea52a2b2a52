"""Choice of layers by name, and the form of their hidden states: the same for Linen and NNX models."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

import jax

from laya_jax.checks import check_choice
from laya_jax.hidden_states.layer_calls import LayerOutput
from laya_jax.hidden_states.pooling import POOLINGS, pool
from laya_jax.typing import Array, HiddenStates


def as_patterns(layers: Any, names: Callable[[], Sequence[str]]) -> tuple[str, ...]:
    """Turns layers into name patterns: indices are looked up among the names, which are asked for if needed.

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


def names_of(outputs: Sequence[LayerOutput]) -> tuple[str, ...]:
    """Lists the layers that returned an array, each once.

    >>> names_of([LayerOutput("a", None, problem="..."), LayerOutput("b", None, empty=True)])
    ('a',)
    """
    return tuple(dict.fromkeys(output.name for output in outputs if not output.empty))


def matches(name: str, pattern: str) -> bool:
    """Tells whether a layer's name matches a pattern, level by level from the end.

    >>> matches("encoder/block_10", "block_*"), matches("encoder/block_1/mlp", "block_*")
    (True, False)
    """
    return name == pattern or (bool(PurePosixPath(pattern).parts) and PurePosixPath(name).match(pattern))


def may_reach(pattern: str, layer: str, method: str = "") -> bool:
    """Tells whether a pattern can mean a method of a layer: by its name, or as the layer's only way to run.

    >>> [may_reach(pattern, "block_0", "encode") for pattern in ("block_*", "block_*.encode", "*.decode")]
    [True, True, False]
    """
    return matches(layer, pattern) or (bool(method) and _names_method(pattern, layer, method))


def choose(
    outputs: Sequence[LayerOutput], patterns: Sequence[str], names: Callable[[], Sequence[str]]
) -> list[LayerOutput]:
    """Chooses the outputs pattern by pattern, each layer once.

    Raises:
      ValueError: A pattern that no layer matches (the message lists the layers), or a layer with a problem.

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
    # Methods beside a layer's __call__ are helpers, which only their own name reaches.
    called = {output.layer for output in outputs if not output.method}
    found = [
        output
        for output in outputs
        if (matches(output.layer, pattern) and not (output.method and output.layer in called))
        or (output.method and _names_method(pattern, output.layer, output.method))
    ]
    # A layer's own name means that layer, also where it ends the names of others.
    found = [output for output in found if pattern in (output.name, output.layer)] or found
    return [output for output in found if not output.empty] or found


def _names_method(pattern: str, layer: str, method: str) -> bool:
    of_layer, _, of_method = pattern.rpartition(".")
    return matches(layer, of_layer) and fnmatchcase(method, of_method)


def as_hidden_states(
    outputs: Sequence[LayerOutput], pooling: str | None, mask: Any, frozen: bool
) -> HiddenStates:
    """Pools the outputs and stops their gradient, as asked for.

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


def check_pooling(pooling: str | None, pooling_mask: Any) -> None:
    """Raises unless it is None or the name of a pooling, and a mask comes with a pooling only.

    >>> check_pooling("mean", None)
    """
    if pooling is not None:
        check_choice("pooling", pooling, tuple(POOLINGS))
    elif pooling_mask is not None:
        raise ValueError(f"pooling_mask came without a pooling, expected one of {', '.join(POOLINGS)}")
