"""Calls of layers in a model, and their outputs; shared by Linen and NNX."""

import functools
import itertools
import textwrap
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from flax.errors import FlaxError

from laya_jax.hidden_states.returned import NoHiddenStateError, Output, arrays, hidden_state
from laya_jax.typing import Array, PyTree

T = TypeVar("T")


class LayerOutput(NamedTuple):
    """Hidden state from one call of a layer, or the reason why there is none.

    Attributes:
      layer: Name of the layer, or of a sown value.
      value: Hidden state; ``None`` if there is a problem.
      method: Name of the called method; empty for ``__call__``.
      scanned: True if axis 0 of the value is depth.
      problem: Reason why there is no value, as the predicate of a sentence about the layer.
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
        """Name in the list of ``layer_names``."""
        return f"{self.layer}.{self.method}" if self.method else self.layer


class Call(NamedTuple):
    """Call of a layer, seen from inside all transforms, without arrays, which would leak tracers.

    Attributes:
      output: Layer and method, and the problem if there is one.
      vmaps: Number of ``vmap`` transforms around the call.
      mapped: Number of transforms around the call that map over the layer's parameters.
    """

    output: LayerOutput
    vmaps: int = 0
    mapped: int = 0


Stored: TypeAlias = tuple[Array | None, Array | None]
"""Hidden state of one call and its mark, as returned by the transforms."""


MEMBERS = (
    "runs under a vmap over its parameters, whose axis counts members (of an ensemble, or experts), neither "
    "samples nor layers; expected the layer that combines the members, or a loop in Python that calls each "
    "member by a name of its own"
)
"""Problem of a layer that stands for several parallel layers."""


def taken(
    layer: str, method: str, returned: object, output: Output, arguments: object
) -> tuple[LayerOutput, Array | None]:
    """Extracts the hidden state from a layer's output, or the problem if there is none.

    >>> taken("block_0", "", {"x": None}, None, ())[0].problem
    "returns {'x': None}, in which there is no array"
    """
    try:
        return LayerOutput(layer, None, method), hidden_state(returned, output, arguments)
    except NoHiddenStateError as error:
        empty = next(arrays(returned), None) is None
        return LayerOutput(layer, None, method, problem=str(error), empty=empty), None


class Reduction(NamedTuple):
    """Reduction for ``sow`` that stores every value with its mark, or a single one if the layer reduces them.

    A mark has as many axes as the value, all of size 0, so that axes added by transforms can be identified.
    """

    reduce_fn: Callable[[PyTree, PyTree], PyTree] | None = None
    init_fn: Callable[[], PyTree] = tuple

    def __call__(self, old: tuple[Stored, ...], new: PyTree) -> tuple[Stored, ...]:
        """Adds a value to those already stored."""
        if self.reduce_fn is not None and new is not None:
            alone = self.reduce_fn(self.init_fn(), new)
            if not isinstance(alone, tuple | list):  # a reduction to one value
                old, new = (), self.reduce_fn(old[0][0], new) if old else alone
        return (*old, (new, None if new is None else jnp.zeros((0,) * jnp.ndim(new), bool)))


def key_of(patterns: tuple[str, ...], output: Output) -> str:
    """Returns a key for what a run stores, so that jit does not reuse the cached trace of another run.

    >>> key_of(("block_*",), 0) == key_of(("block_*",), 0), key_of(("block_*",), 0) == key_of(("block_*",), 1)
    (True, False)
    """
    return _kept_key(patterns, output) if isinstance(output, Hashable) else new_key()


def new_key() -> str:
    """Returns a unique key for a run that shares no trace with any other."""
    return f"laya_jax_{next(_numbers)}"


@functools.lru_cache(maxsize=256)
def _kept_key(patterns: tuple[str, ...], output: Output) -> str:
    return new_key()


_numbers = itertools.count()


def outputs_of(
    run: Callable[[], tuple[Sequence[Call], Mapping[str, Sequence[Stored]]]],
    survey: Callable[[], Sequence[Call]],
    enough: Callable[[Sequence[Call]], bool],
    inputs: object,
    lost: str,
    failing: str,
) -> list[LayerOutput]:
    """Runs a model and collects the outputs of its layers, in the order of the calls.

    Args:
      run: Function that runs the model, and returns the observed calls and their stored values by name.
      survey: Function that runs the model without storing anything, and observes every call. It is only
        traced, if a transform cannot store values or has a cached trace in which layers are not observed.
      enough: Function that tells whether the calls include everything that was asked for.
      inputs: Inputs of the model, the first array among them with the batch on axis 0.
      lost: Problem of a layer whose output is not returned by the transforms around it.
      failing: Problem of a layer if the model runs, but fails while storing values.
    """
    try:
        calls, stored = run()
        jax.tree.map(jax.lax.stop_gradient, stored)  # raises if a tracer leaked out of a JAX transform
    except (TypeError, ValueError, FlaxError) as error:
        try:
            calls, stored = traced(survey), {}
        except Exception:
            raise error from None  # the error was not caused by storing
        if len({call.output.layer for call in calls}) > 1:
            failing = f"is one of several asked for together, of which at least one {failing}"
        lost = f"{failing} ({textwrap.shorten(str(error), 120)})"
    else:
        seen = Counter(call.output.name for call in calls)
        if any(name not in stored for name in seen):
            _kept_key.cache_clear()  # a cached trace would neither observe nor store them next time
        if not enough(calls) or any(len(values) > seen[name] for name, values in stored.items()):
            calls = traced(survey)
    batch = next((array.shape[0] for array in arrays(inputs) if array.ndim), None)
    return _joined(calls, stored, batch, lost)


def _joined(
    calls: Sequence[Call], stored: Mapping[str, Sequence[Stored]], batch: int | None, lost: str
) -> list[LayerOutput]:
    """Joins calls with their stored values; a layer with a problem is listed once."""
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
            outputs.append(_unstacked(call, *values[joined[name]], batch))
        joined[name] += 1
    return outputs


def _unstacked(call: Call, value: Array | None, mark: Array | None, batch: int | None) -> LayerOutput:
    """Resolves axes added by transforms: depth moves to the front, batch stays, others are a problem."""
    if value is None or mark is None:
        return call.output._replace(problem="returned something else in another call")
    added = [axis for axis, size in enumerate(mark.shape) if size > 0]
    problem = _unnamed(call, value, added, batch)
    if problem:
        return call.output._replace(problem=problem)
    if not added or call.vmaps:
        return call.output._replace(value=value)
    stack = jnp.moveaxis(value, added, range(len(added)))
    return call.output._replace(value=stack.reshape(-1, *stack.shape[len(added) :]), scanned=True)


def _unnamed(call: Call, value: Array, added: list[int], batch: int | None) -> str:
    """Describes why an added axis is neither depth nor batch; empty if it is one of them."""
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
    if call.vmaps and value.shape[0] != batch and batch in value.shape[1:]:
        return (
            f"runs under a vmap that is not over samples, which puts its own axis first: {value.shape}; "
            "expected the batch on axis 0"
        )
    if call.vmaps and batch != 1 and batch in value.shape[1:-1]:
        return (
            f"runs under a vmap, and several axes of {value.shape} are of the size of the batch, {batch}, so "
            "that they cannot be told apart; expected a batch of another size"
        )
    return ""


def traced(run: Callable[..., T], *arguments: PyTree) -> T:
    """Traces a function and returns its result, which must not contain arrays.

    >>> traced(lambda x: str((x + 1).shape), jax.ShapeDtypeStruct((2,), "float32"))
    '(2,)'
    """
    leaves, structure = jax.tree.flatten(arguments)
    shapes = {place: leaf for place, leaf in enumerate(leaves) if isinstance(leaf, jax.ShapeDtypeStruct)}
    returned: list[T] = []

    def trace(arrays: dict[int, Array]) -> None:
        returned.append(run(*jax.tree.unflatten(structure, (dict(enumerate(leaves)) | arrays).values())))

    jax.eval_shape(trace, shapes)
    return returned[0]
