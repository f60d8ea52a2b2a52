"""Capture of ordered hidden states from any Linen model; for NNX models see ``laya_jax.nnx.capture``."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
from flax.core import DenyList
from flax.core.scope import CollectionFilter, union_filters

from laya_jax.hidden_states.layer_calls import Call, LayerOutput, Stored, key_of, outputs_of, traced
from laya_jax.hidden_states.layer_choice import (
    all_reached,
    as_hidden_states,
    as_patterns,
    check_pooling,
    choose,
    may_reach,
    names_of,
)
from laya_jax.hidden_states.linen_calls import Recorder
from laya_jax.hidden_states.model_checks import check_linen, check_variables, saying_what_variables_lack
from laya_jax.hidden_states.returned import Output, check_output
from laya_jax.typing import ArrayLike, Bool, Captured, Parameters, PyTree


def capture(
    model: nn.Module,
    variables: Parameters,
    *inputs: PyTree,
    layers: str | int | Sequence[str | int],
    output: Output = None,
    pooling: str | None = None,
    pooling_mask: Bool[ArrayLike, "batch *positions"] | None = None,
    frozen: bool = True,
    **options: Any,
) -> Captured:
    """Runs a Linen model and returns the hidden states of the requested layers, in order.

    The layers that match a pattern are returned in execution order (``block_2`` before ``block_10``), and a
    layer that is called twice is returned twice. Works under jit. The model's own state, such as batch
    statistics, is not updated.

    If a layer returns several arrays, select the hidden state with ``output``: an index or key, as in
    ``output=0`` or ``output="x"``, or a function, as in ``output=nn.gelu`` for the values after an activation
    function. Without ``output``, a layer is rejected unless there is only one candidate, or the first array
    has the shape of the layer's input and all others have a different number of axes
    (``(hidden, attention)``). Values that a layer sows, as in ``self.sow("intermediates", "gelu", x)``, are
    named after the layer and the value: "block_*/gelu". A layer that runs through a method other than
    ``__call__`` matches its own name ("block_*") if that is its only method, and always the name with the
    method ("block_*.encode").

    Args:
      model: Linen module of any kind.
      variables: Variables of the model, as for ``model.apply``.
      *inputs: Inputs of the model.
      layers: Names from ``layer_names``, or indices into that list, in the desired order. Any other string is
        a pattern that matches the end of a name, level by level, where ``*`` matches any part of one level:
        "block_*", "encoder/*/mlp".
      output: Index, key or attribute of the hidden state in a layer's output, unless the output is an array
        itself; or a function from a layer's output to an array.
      pooling: Pooling of hidden states to [B, D], see ``laya_jax.pool``; None returns them unpooled.
      pooling_mask: Mask for the pooling, True where there is a token, [B, T].
      frozen: True to stop the gradient, so that the model's parameters receive none.
      **options: Further keyword arguments of ``model.apply``, such as ``train=False`` or ``rngs``.

    Returns:
      A tuple of hidden states; or one array [L, B, ...] if the only matching layer was run by ``nn.scan``
      (which must return intermediates: ``variable_axes={"params": 0, "intermediates": 0}``).

    Raises:
      TypeError: The layers are neither names nor indices, or the model is not a Linen module.
      ValueError: A name or index matches no layer (the message lists the layers), a layer returns no array or
        several candidates, the pooling does not fit, there is a mask without a pooling, or a layer is inside
        a transform that adds an axis other than depth or batch, or that does not return intermediates.

    >>> class Model(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         for width in (8, 4):
    ...             x = nn.relu(nn.Dense(width)(x))
    ...         self.sow("intermediates", "last_relu", x)
    ...         return x
    >>> images = jnp.ones((2, 16))
    >>> variables = Model().init(jax.random.key(0), images)
    >>> [state.shape for state in capture(Model(), variables, images, layers="Dense_*")]
    [(2, 8), (2, 4)]
    >>> (last,) = capture(Model(), variables, images, layers="Dense_1", output=nn.relu)
    >>> (sown,) = capture(Model(), variables, images, layers="last_relu")
    >>> bool((last == sown).all())
    True
    """
    check_linen(model)
    check_variables(variables)
    check_output(output)
    check_pooling(pooling, pooling_mask)

    def names() -> tuple[str, ...]:
        return layer_names(model, variables, *inputs, **options)

    patterns = as_patterns(layers, names)
    outputs = _run(model, variables, inputs, options, patterns, output)
    return as_hidden_states(choose(outputs, patterns, names), pooling, pooling_mask, frozen)


def layer_names(model: nn.Module, variables: Parameters, *inputs: PyTree, **options: Any) -> tuple[str, ...]:
    """Lists the layers whose output ``capture`` can return, in execution order.

    The list includes sown values, methods other than ``__call__``, and layers that return several arrays, for
    which ``capture`` requires ``output=``. Nothing is computed: the model is only traced, and arrays may be
    given as ``jax.ShapeDtypeStruct``. Arguments as for ``capture``.

    >>> model = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(4)])
    >>> images = jnp.ones((2, 16))
    >>> layer_names(model, model.init(jax.random.key(0), images), images)
    ('layers_0', 'layers_2')
    """
    check_linen(model)
    check_variables(variables)
    return traced(
        lambda variables, inputs, options: names_of(_run(model, variables, inputs, options)),
        variables,
        inputs,
        options,
    )


_LOST = (
    "runs under a Flax transform that does not return its intermediates, such as nn.scan; expected "
    'variable_axes={"params": 0, "intermediates": 0} there'
)
_FAILING = "runs under a transform out of which nothing can be stored, such as nn.cond, or jax.vmap by itself"


def _run(
    model: nn.Module,
    variables: Parameters,
    inputs: tuple[PyTree, ...],
    options: Mapping[str, Any],
    patterns: tuple[str, ...] = ("*",),
    output: Output = None,
) -> list[LayerOutput]:
    """Returns the outputs of the layers that the patterns may match, in the order of their calls."""
    # Intermediates left over from init would precede the outputs of each layer.
    kept = {name: value for name, value in variables.items() if name != "intermediates"}
    key = key_of(patterns, output)

    def recorded(recorder: Recorder) -> Parameters:
        mutable = _with(options.get("mutable", False), key)
        with nn.intercept_methods(recorder.intercept), saying_what_variables_lack(variables):
            return model.apply(kept, *inputs, **{**options, "mutable": mutable})[1]

    def recorder(key: str) -> Recorder:
        def wanted(layer: str, method: str) -> bool:
            return any(may_reach(pattern, layer, method) for pattern in patterns)

        return Recorder(kept.get("params", {}), wanted, output, key, _LOST)

    def run() -> tuple[list[Call], dict[str, list[Stored]]]:
        storing = recorder(key)
        return storing.calls, storing.stored(recorded(storing))

    def enough(calls: Sequence[Call]) -> bool:
        return all_reached(patterns, calls)

    def survey() -> list[Call]:
        seeing = recorder("")
        with jax.disable_jit():  # nn.jit runs no Python code on a cache hit
            recorded(seeing)
        return seeing.calls

    # A key among the rngs may be an array, whose size is not that of the batch.
    given = (inputs, {name: value for name, value in options.items() if name != "rngs"})
    return outputs_of(run, survey, enough, given, _LOST, _FAILING)


def _with(mutable: CollectionFilter, key: str) -> CollectionFilter:
    """Adds intermediates to the mutable collections, and a key that makes nn.jit trace this run anew."""
    if mutable is True or isinstance(mutable, DenyList):
        return DenyList(union_filters(getattr(mutable, "deny", False), key))
    return [*([mutable] if isinstance(mutable, str) else mutable or ()), "intermediates", key]
