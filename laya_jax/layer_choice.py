"""Which layers' outputs become hidden states, and in what form: the same for Linen and NNX models."""

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import jax

from laya_jax.checks import check_choice
from laya_jax.pooling import POOLINGS, pool
from laya_jax.typing import Array, HiddenStates


class LayerOutput(NamedTuple):
    """What one call of a layer returned; ``scanned`` if it stands for a whole stack, axis 0 being depth."""

    name: str
    value: Array
    scanned: bool


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
