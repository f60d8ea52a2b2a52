"""Calls of layers as a model makes them, and what came of them: the same for Linen and NNX models."""

import functools
import itertools
import textwrap
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from flax.errors import FlaxError

from laya_jax.hidden_states.returned import NoHiddenStateError, Output, arrays, hidden_state
from laya_jax.typing import Array


class LayerOutput(NamedTuple):
    """Hidden state that one call of a layer gave, or the reason why there is none.

    Attributes:
      layer: Name of the layer, or of a value that it sowed.
      value: Hidden state; ``None`` if there is a problem.
      method: Method that was called, if it was another than ``__call__``.
      scanned: True if axis 0 of the value counts layers.
      problem: Reason why there is no value, as the rest of a sentence about the layer.
      empty: True if the layer returned no array at all.
    """

    layer: str
    value: Array | None
    method: str = ""
    scanned: bool = False
    problem: str = ""
    empty: bool = False

    @property
    def name(self) -> str:
        """Name under which ``layer_names`` lists it."""
        return f"{self.layer}.{self.method}" if self.method else self.layer


class Call(NamedTuple):
    """Call of a layer, seen from inside all transforms; it holds no array, which would leak out of them.

    Attributes:
      output: Layer and method, and the problem if there is one.
      vmaps: Number of ``vmap`` around the call.
      mapped: Number of transforms around the call that map over the layer's parameters.
    """

    output: LayerOutput
    vmaps: int = 0
    mapped: int = 0


Stored: TypeAlias = tuple[Array | None, Array | None]
"""Hidden state of one call and its mark, as they came out of the transforms."""


MEMBERS = (
    "runs under a vmap over its parameters, whose axis counts members (of an ensemble, or experts), neither "
    "samples nor layers; expected the layer that combines the members, or a loop in Python that calls each "
    "member by a name of its own"
)
"""Problem of a layer that is several layers side by side."""


def taken(
    layer: str, method: str, returned: Any, output: Output, arguments: Any
) -> tuple[LayerOutput, Array | None]:
    """Takes the hidden state out of what a layer returned, and keeps the problem if there is none.

    >>> taken("block_0", "", {"x": None}, None, ())[0].problem
    "returns {'x': None}, in which there is no array"
    """
    try:
        return LayerOutput(layer, None, method), hidden_state(returned, output, arguments)
    except NoHiddenStateError as error:
        empty = next(arrays(returned), None) is None
        return LayerOutput(layer, None, method, problem=str(error), empty=empty), None


class Reduction(NamedTuple):
    """Function for ``sow`` that keeps every value with its mark, or one of all where the layer reduces them.

    A mark has as many axes as the value, all of size 0: those that transforms add stand out.
    """

    reduce_fn: Callable[[Any, Any], Any] | None = None
    init_fn: Callable[[], Any] = tuple

    def __call__(self, old: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
        """Adds a value to those stored before."""
        if self.reduce_fn is not None and new is not None:
            alone = self.reduce_fn(self.init_fn(), new)
            if not isinstance(alone, tuple | list):  # a reduction to one value
                old, new = (), self.reduce_fn(old[0][0], new) if old else alone
        return (*old, (new, None if new is None else jnp.zeros((0,) * jnp.ndim(new), bool)))


def key_of(patterns: tuple[str, ...], output: Output) -> str:
    """Names what a run stores; a trace that jit kept of another run stores something else, and is not reused.

    >>> key_of(("block_*",), 0) == key_of(("block_*",), 0), key_of(("block_*",), 0) == key_of(("block_*",), 1)
    (True, False)
    """
    return _kept_key(patterns, output) if isinstance(output, Hashable) else new_key()


def new_key() -> str:
    """Names a run that shares no trace with any other."""
    return f"laya_jax_{next(_numbers)}"


@functools.lru_cache(maxsize=256)
def _kept_key(patterns: tuple[str, ...], output: Output) -> str:
    return new_key()


_numbers = itertools.count()


def outputs_of(
    run: Callable[[], tuple[Sequence[Call], Mapping[str, Sequence[Stored]]]],
    survey: Callable[[], Sequence[Call]],
    inputs: Any,
    lost: str,
    failing: str,
) -> list[LayerOutput]:
    """Runs a model and gathers what its layers returned, in the order of the calls.

    Args:
      run: Function that runs the model, and returns the calls that it saw and what they stored, by name.
      survey: Function that runs the model without storing anything, and sees every call. It is traced only,
        where a transform cannot store, or has kept an older trace in which layers are not seen again.
      inputs: Inputs of the model.
      lost: Problem of a layer whose output did not come out of the transforms around it.
      failing: Problem of a layer if the model runs, but not while it stores.
    """
    try:
        calls, stored = run()
        jax.tree.map(jax.lax.stop_gradient, stored)  # raises if one leaked out of a transform of JAX itself
    except (TypeError, ValueError, FlaxError) as error:
        try:
            calls, stored = traced(survey), {}
        except Exception:
            raise error from None  # it was not for the storing
        if len({call.output.layer for call in calls}) > 1:
            failing = f"is one of several asked for together, of which at least one {failing}"
        lost = f"{failing} ({textwrap.shorten(str(error), 120)})"
    else:
        seen = Counter(call.output.name for call in calls)
        if any(name not in stored for name in seen):
            _kept_key.cache_clear()  # a kept trace would neither show nor store them next time
        if any(len(values) > seen[name] for name, values in stored.items()):
            calls = traced(survey)
    batches = {array.shape[0] for array in arrays(inputs) if array.ndim}
    return _joined(calls, stored, batches, lost)


def _joined(
    calls: Sequence[Call], stored: Mapping[str, Sequence[Stored]], batches: set[int], lost: str
) -> list[LayerOutput]:
    """Joins calls with what they stored; a layer with a problem comes once."""
    problems = {call.output.name: call.output for call in reversed(calls) if call.output.problem}
    outputs: list[LayerOutput] = []
    joined = Counter[str]()
    for call in calls:
        name = call.output.name
        values = stored.get(name, ())
        if name in problems or not values:
            if not joined[name]:
                outputs.append(problems.get(name) or call.output._replace(problem=lost))
        elif joined[name] < len(values):  # a transform may trace a layer more often than it runs
            outputs.append(_unstacked(call, *values[joined[name]], batches))
        joined[name] += 1
    return outputs


def _unstacked(call: Call, value: Array | None, mark: Array | None, batches: set[int]) -> LayerOutput:
    """Names the axes that transforms added: depth comes to the front, samples stay, others are a problem."""
    if value is None or mark is None:
        return call.output._replace(problem="returned something else in another call")
    added = [axis for axis, size in enumerate(mark.shape) if size > 0]
    problem = _unnamed(call, value, added, batches)
    if problem:
        return call.output._replace(problem=problem)
    if not added or call.vmaps:
        return call.output._replace(value=value)
    stack = jnp.moveaxis(value, added, range(len(added)))
    return call.output._replace(value=stack.reshape(-1, *stack.shape[len(added) :]), scanned=True)


def _unnamed(call: Call, value: Array, added: list[int], batches: set[int]) -> str:
    """Says why an added axis is neither depth nor samples; nothing if it is one of them."""
    scans = len(added) - call.vmaps
    if not added:
        return ""
    if call.vmaps and scans:
        return f"runs under both vmap and scan, so that the axes of {value.shape} cannot be told apart"
    if call.vmaps and call.mapped:
        return MEMBERS
    if scans and call.mapped < scans:
        return (
            f"runs under a scan that shares its parameters, so that axis {added[0]} of {value.shape} may be "
            "time and is not known to be depth; expected the layer around the scan, or a loop in Python"
        )
    if call.vmaps and value.shape[0] not in batches and batches.intersection(value.shape[1:-1]):
        return (
            f"runs under a vmap that is not over samples, which puts its own axis first: {value.shape}; "
            "expected the batch on axis 0"
        )
    return ""


def traced(run: Any, *arguments: Any) -> Any:
    """Runs a function on shapes alone and returns what it returned, which may hold no arrays.

    >>> traced(lambda x: str((x + 1).shape), jax.ShapeDtypeStruct((2,), "float32"))
    '(2,)'
    """
    leaves, structure = jax.tree.flatten(arguments)
    shapes = {place: leaf for place, leaf in enumerate(leaves) if isinstance(leaf, jax.ShapeDtypeStruct)}
    returned = []

    def trace(arrays: dict[int, Array]) -> None:
        returned.append(run(*jax.tree.unflatten(structure, (dict(enumerate(leaves)) | arrays).values())))

    jax.eval_shape(trace, shapes)
    return returned[0]
