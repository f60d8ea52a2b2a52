"""Ordered hidden states out of any Linen model; ``laya_jax.nnx.capture`` does it for NNX."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
from flax.core import DenyList
from flax.core.scope import union_filters

from laya_jax.hidden_states.layer_calls import Call, LayerOutput, Stored, key_of, outputs_of, traced
from laya_jax.hidden_states.layer_choice import (
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
from laya_jax.typing import HiddenStates


def capture(
    model: nn.Module,
    variables: Mapping[str, Any],
    *inputs: Any,
    layers: str | int | Sequence[str | int],
    output: Output = None,
    pooling: str | None = None,
    pooling_mask: Any = None,
    frozen: bool = True,
    **options: Any,
) -> HiddenStates:
    """Runs a Linen model and returns the hidden states of the layers asked for, in order.

    The outputs of a pattern come in the order in which the model's layers return them (``block_2``
    before ``block_10``), and a layer called twice comes twice. Works under jit. The model's own state, such
    as batch statistics, is not updated.

    Of a layer that returns several arrays, say which one is the hidden state: ``output=0``, ``output="x"``,
    or a function, as in ``output=nn.gelu`` for the states after an activation function. Without it, a layer
    is refused unless one array is the only possible one, or the first one has the shape of the layer's input
    and all others have another number of axes (``(hidden, attention)``). Values that a layer sows, as in
    ``self.sow("intermediates", "gelu", x)``, go by the layer's name and their own: "block_*/gelu".
    A layer that runs by another method than ``__call__`` goes by its name ("block_*") if that is the only
    way it runs, and always by both names ("block_*.encode").

    Args:
      model: Linen module of any kind.
      variables: Variables of the model, as for ``model.apply``.
      *inputs: Inputs of the model.
      layers: Names as ``layer_names`` lists them, or indices into that list, in the order wanted. What
        is no such name is a pattern: it matches from the end of a name, and ``*`` stands for any part
        of one level: "block_*", "encoder/*/mlp".
      output: Index, key or attribute of the hidden state among what a layer returns, unless that is an array
        by itself; or a function from what a layer returns to an array.
      pooling: Pooling that brings hidden states to [B, D], see ``laya_jax.pool``; None leaves them as they
        are.
      pooling_mask: Mask for the pooling, True where there is a token, [B, T].
      frozen: True to stop the gradient, so that the model's parameters get none.
      **options: Further keyword arguments of ``model.apply``, such as ``train=False`` or ``rngs``.

    Returns:
      A tuple of hidden states; or one array [L, B, ...] where the only layer that matches was run by
      ``nn.scan`` (which must pass on intermediates: ``variable_axes={"params": 0, "intermediates": 0}``).

    Raises:
      TypeError: Layers that are neither names nor indices; a model that is no Linen module.
      ValueError: A name or index that no layer has (the message lists the layers), a layer that returns no
        array or several possible ones, a pooling that does not fit, a mask without a pooling, or a layer
        under a transform that adds an axis which is neither depth nor samples, or returns no intermediates.

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


def layer_names(
    model: nn.Module, variables: Mapping[str, Any], *inputs: Any, **options: Any
) -> tuple[str, ...]:
    """Lists the layers whose output ``capture`` can return, in the order in which the model returns them.

    Values that layers sow and methods other than ``__call__`` are among them, and layers of whose arrays
    ``output=`` has to choose one. Nothing is computed: the model is only traced, and arrays may be given as
    ``jax.ShapeDtypeStruct``. Arguments as for ``capture``.

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
    variables: Mapping[str, Any],
    inputs: tuple[Any, ...],
    options: Mapping[str, Any],
    patterns: tuple[str, ...] = ("*",),
    output: Output = None,
) -> list[LayerOutput]:
    """Outputs of the layers that the patterns may mean, in the order of their calls."""
    # Intermediates left over from init would come first among the outputs of each layer.
    kept = {name: value for name, value in variables.items() if name != "intermediates"}
    key = key_of(patterns, output)

    def recorded(recorder: Recorder) -> Any:
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

    def survey() -> list[Call]:
        seeing = recorder("")
        with jax.disable_jit():  # nn.jit runs no Python where it has a trace
            recorded(seeing)
        return seeing.calls

    return outputs_of(run, survey, (inputs, dict(options)), _LOST, _FAILING)


def _with(mutable: Any, key: str) -> Any:
    """Adds intermediates to the mutable collections, and a key by which nn.jit tells this run from others."""
    if mutable is True or isinstance(mutable, DenyList):
        return DenyList(union_filters(getattr(mutable, "deny", False), key))
    return [*([mutable] if isinstance(mutable, str) else mutable or ()), "intermediates", key]
