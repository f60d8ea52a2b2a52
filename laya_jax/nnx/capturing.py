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
    """Runs an NNX model and returns the hidden states of the layers asked for, in order.

    As ``laya_jax.capture`` does for Linen, with the same ``output``, and by the same rules for methods other
    than ``__call__``. Values that a layer sows or perturbs, as in ``self.sow(nnx.Intermediate, "gelu", x)``,
    go by the layer's name and their own: "blocks/*/gelu". Hidden states come in another order than Linen's:
    the outputs of a pattern come in the natural order of their names (``blocks/2`` before ``blocks/10``).
    Name the layers one by one for another order. What ``nnx.capture`` cannot run, such as a Linen model
    under ``nnx.bridge.ToNNX``, neither can this.

    Args:
      model: NNX module of any kind. It is left as it is, its random state and batch statistics included: in
        training mode dropout would leave out the same every time, so call ``eval()`` first.
      *inputs: Inputs of the model; NNX objects among them, such as a cache or ``nnx.Rngs``, are left as they
        are, too.
      layers: Names or patterns as "blocks/*", or indices; ``layer_names`` lists them.
      output: Index, key or attribute of the hidden state among what a layer returns, unless that is an array
        by itself; or a function from what a layer returns to an array.
      pooling: Pooling that brings hidden states to [B, D], see ``laya_jax.pool``; None leaves them as they
        are.
      pooling_mask: Mask for the pooling, True where there is a token, [B, T].
      frozen: True to stop the gradient, so that the model's parameters get none.
      **options: Further keyword arguments of the model's call.

    Returns:
      A tuple of hidden states; or one array [L, B, ...] where the only layer that matches was run by
      ``nnx.scan``.

    Raises:
      TypeError: Layers that are neither names nor indices; a model that is no NNX module.
      ValueError: A name or index that no layer has (the message lists the layers), a layer that returns no
        array or several possible ones, a pooling that does not fit, a mask without a pooling, or a layer
        under a transform that adds an axis which is neither depth nor samples, or returns no intermediates.

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
    """Lists the layers whose output ``capture`` can return, in natural order; nothing is computed.

    Values that layers sow and methods other than ``__call__`` are among them, and layers of whose arrays
    ``output=`` has to choose one. Arrays, also of the model, may be given as ``jax.ShapeDtypeStruct``.

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
