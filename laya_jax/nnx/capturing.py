"""Ordered hidden states out of any NNX model."""

import re
from collections.abc import Callable, Sequence

import jax
from flax import nnx

from laya_jax.hidden_states import (
    Call,
    LayerOutput,
    Output,
    Stored,
    all_reached,
    as_hidden_states,
    as_patterns,
    check_nnx,
    check_output,
    check_pooling,
    choose,
    key_of,
    may_reach,
    names_of,
    new_key,
    outputs_of,
    traced,
)
from laya_jax.nnx.calls import Recorder
from laya_jax.typing import ArrayLike, Bool, Captured, PyTree


def capture(
    model: nnx.Module,
    *inputs: PyTree,
    layers: str | int | Sequence[str | int],
    output: Output = None,
    pooling: str | None = None,
    pooling_mask: Bool[ArrayLike, "batch *positions"] | None = None,
    frozen: bool = True,
    **options: object,
) -> Captured:
    """Runs an NNX model and returns the hidden states of the requested layers, in order.

    This is the counterpart of ``laya_jax.capture`` for Linen, with the same ``output`` and the same rules for
    methods other than ``__call__``. Values that a layer sows or perturbs, as in
    ``self.sow(nnx.Intermediate, "gelu", x)``, are named after the layer and the value: "blocks/*/gelu".
    Unlike with Linen, the layers that match a pattern are returned in the natural order of their names
    (``blocks/2`` before ``blocks/10``); for a different order, name the layers one by one. A model that
    ``nnx.capture`` cannot run, such as a Linen model under ``nnx.bridge.ToNNX``, is not supported.

    Args:
      model: NNX module of any kind. It is not modified, and neither are its random state and batch
        statistics. In training mode, dropout would therefore use the same mask in every call, so call
        ``eval()`` first.
      *inputs: Inputs of the model. NNX objects among them, such as a cache or ``nnx.Rngs``, are not modified
        either.
      layers: Names, patterns such as "blocks/*", or indices; ``layer_names`` lists them.
      output: Index, key or attribute of the hidden state in a layer's output, unless the output is an array
        itself; or a function from a layer's output to an array.
      pooling: Pooling of hidden states to [B, D], see ``laya_jax.pool``; None returns them unpooled.
      pooling_mask: Mask for the pooling, True where there is a token, [B, T].
      frozen: True to stop the gradient, so that the model's parameters receive none.
      **options: Further keyword arguments of the model's call.

    Returns:
      A tuple of hidden states; or one array [L, B, ...] if the only matching layer was run by ``nnx.scan``.

    Raises:
      TypeError: The layers are neither names nor indices, or the model is not an NNX module.
      ValueError: A name or index matches no layer (the message lists the layers), a layer returns no array or
        several candidates, the pooling does not fit, there is a mask without a pooling, or a layer is inside
        a transform that adds an axis other than depth or batch, or that does not return intermediates.

    >>> model = nnx.Sequential(nnx.Linear(16, 8, rngs=nnx.Rngs(0)), nnx.Linear(8, 4, rngs=nnx.Rngs(1)))
    >>> [state.shape for state in capture(model, jnp.ones((2, 16)), layers="layers/*")]
    [(2, 8), (2, 4)]
    """
    check_nnx(model)
    check_output(output)
    check_pooling(pooling, pooling_mask)

    def names() -> tuple[str, ...]:
        return layer_names(model, *inputs, **options)

    patterns = as_patterns(layers, names)
    outputs = _run(model, inputs, options, patterns, output)
    return as_hidden_states(choose(outputs, patterns, names), pooling, pooling_mask, frozen)


def layer_names(model: nnx.Module, *inputs: PyTree, **options: object) -> tuple[str, ...]:
    """Lists the layers whose output ``capture`` can return, in natural order.

    The list includes sown values, methods other than ``__call__``, and layers that return several arrays, for
    which ``capture`` requires ``output=``. Nothing is computed: the model is only traced, and arrays,
    including the model's, may be given as ``jax.ShapeDtypeStruct``.

    >>> layer_names(nnx.Sequential(nnx.Linear(16, 8, rngs=nnx.Rngs(0))), jnp.ones((2, 16)))
    ('layers/0',)
    """
    check_nnx(model)
    parts, copies = _split(model, inputs, options)
    return traced(lambda *parts: names_of(_run(*copies(*parts))), *parts)


_LOST = (
    "runs under an NNX transform that does not return its intermediates, such as nnx.scan; expected them in "
    "its axes, nnx.StateAxes({nnx.Intermediate: 0, ...: ...})"
)
_FAILING = (
    "runs under a transform out of which nothing can be stored, such as nnx.RNN, or nnx.vmap of a shared "
    "layer without nnx.StateAxes({nnx.Intermediate: 0, ...: None})"
)


def _run(
    model: nnx.Module,
    inputs: tuple[PyTree, ...],
    options: dict[str, object],
    patterns: tuple[str, ...] = ("*",),
    output: Output = None,
) -> list[LayerOutput]:
    """Outputs of the layers that the patterns may mean, in the natural order of their names."""
    parts, copies = _split(model, inputs, options)

    def wanted(layer: str, method: str) -> bool:
        return any(may_reach(pattern, layer, method) for pattern in patterns)

    def run() -> tuple[list[Call], dict[str, list[Stored]]]:
        copy, arguments, keywords = copies(*parts)
        recorder = Recorder(copy, wanted, output, key_of(patterns, output), storing=True)
        stored = recorder.run(*arguments, **keywords)
        stacked = any(
            mark is not None and any(mark.shape) for values in stored.values() for _, mark in values
        )
        return [] if stacked else recorder.calls, stored  # the survey tells what a stack is

    def enough(calls: Sequence[Call]) -> bool:
        return all_reached(patterns, calls)

    def survey() -> list[Call]:
        copy, arguments, keywords = copies(*parts)
        recorder = Recorder(copy, wanted, output, new_key(), storing=False)
        recorder.run(*arguments, **keywords)
        return recorder.calls

    outputs = outputs_of(run, survey, enough, (inputs, options), _LOST, _FAILING)
    return sorted(outputs, key=lambda output: _natural(output.name))


def _split(
    model: nnx.Module, inputs: PyTree, options: PyTree
) -> tuple[tuple[PyTree, list[PyTree]], Callable[..., tuple[nnx.Module, PyTree, PyTree]]]:
    """Takes a model and its inputs apart, into arrays and a function that makes copies of all out of them.

    NNX objects among the inputs are copied with the model, so that what they share stays shared.
    """

    def is_object(value: object) -> bool:
        return isinstance(value, nnx.Pytree | nnx.Variable)

    leaves, structure = jax.tree.flatten((inputs, options), is_leaf=is_object)
    objects = {place: leaf for place, leaf in enumerate(leaves) if is_object(leaf)}
    graph, state = nnx.split((model, list(objects.values())))

    def copies(state: PyTree, others: list[PyTree]) -> tuple[nnx.Module, PyTree, PyTree]:
        copy, copied = nnx.merge(graph, state, copy=True)
        filled = dict(enumerate(others)) | dict(zip(objects, copied, strict=True))
        return copy, *jax.tree.unflatten(structure, filled.values())

    return (state, [None if place in objects else leaf for place, leaf in enumerate(leaves)]), copies


def _natural(name: str) -> list[int | str]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
