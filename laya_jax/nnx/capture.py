"""Ordered hidden states out of any NNX model."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax.numpy as jnp
from flax import nnx

from laya_jax.layer_choice import (
    LayerOutput,
    as_hidden_states,
    as_patterns,
    check_pooling,
    choose,
    first_array,
    traced_names,
)
from laya_jax.typing import HiddenStates


def capture(
    model: nnx.Module,
    *inputs: Any,
    layers: str | int | Sequence[str | int],
    pooling: str | None = None,
    pooling_mask: Any = None,
    frozen: bool = True,
    **options: Any,
) -> HiddenStates:
    """Runs an NNX model and returns the hidden states of the layers asked for, in order.

    As ``laya_jax.capture`` does for Linen, but for the order: NNX does not tell the order of the calls,
    so the outputs of a pattern come in the natural order of their names (``blocks/2`` before
    ``blocks/10``). Name the layers one by one for another order. What ``nnx.capture`` cannot run, such
    as a Linen model under ``nnx.bridge.ToNNX``, neither can this.

    Args:
      model: any NNX module; it is left as it is, its random state and batch statistics included: in training
        mode dropout would leave out the same every time, so call ``eval()`` first.
      *inputs: its inputs.
      layers: names or patterns as "blocks/*", or indices; ``layer_names`` lists them.
      pooling: how to bring them to [B, D], see ``laya_jax.pool``; None leaves them as they are.
      pooling_mask: for the pooling, True where there is a token, [B, T].
      frozen: whether the gradient stops here, so that the model's parameters get none.
      **options: further keyword arguments of the model's call.

    Returns:
      A tuple of hidden states; or one array [L, B, ...] where the only layer that matches was run by
      ``nnx.scan``.

    Raises:
      TypeError: layers that are neither names nor indices.
      ValueError: a name or index that no layer has (the message lists the layers), a pooling that does
        not fit, or a mask without a pooling.

    >>> model = nnx.Sequential(nnx.Linear(16, 8, rngs=nnx.Rngs(0)), nnx.Linear(8, 4, rngs=nnx.Rngs(1)))
    >>> [state.shape for state in capture(model, jnp.ones((2, 16)), layers="layers/*")]
    [(2, 8), (2, 4)]
    """
    check_pooling(pooling, pooling_mask)
    outputs = _run(model, inputs, options)

    def names() -> list[str]:
        return list(dict.fromkeys(output.name for output in outputs))

    return as_hidden_states(choose(outputs, as_patterns(layers, names), names), pooling, pooling_mask, frozen)


def layer_names(model: nnx.Module, *inputs: Any, **options: Any) -> tuple[str, ...]:
    """Names of the layers whose output ``capture`` can return, in natural order; nothing is computed.

    >>> layer_names(nnx.Sequential(nnx.Linear(16, 8, rngs=nnx.Rngs(0))), jnp.ones((2, 16)))
    ('layers/0',)
    """
    return traced_names(lambda inputs: _run(model, inputs, options), inputs)


def _run(model: nnx.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> list[LayerOutput]:
    # nnx.capture writes on the modules, which inside jit only a copy allows.
    model = nnx.clone(model)
    with _sowing(model):
        _, state = nnx.capture(model, nnx.Intermediate)(*inputs, **options)
    sown = {tuple(map(str, path)): variable.get_value() for path, variable in nnx.to_flat_state(state)}
    outputs = []
    for (*levels, name), values in sown.items():
        if name == _OUTPUT and levels:
            for value, scalar in zip(values, sown[*levels, _SCALAR], strict=True):
                depth = scalar.ndim
                value = value.reshape(-1, *value.shape[depth:]) if depth else value
                outputs.append(LayerOutput("/".join(levels), value, bool(depth)))
    return sorted(outputs, key=lambda output: _natural(output.name))


_OUTPUT, _SCALAR = "laya_jax_output", "laya_jax_scalar"


@contextmanager
def _sowing(model: nnx.Module) -> Iterator[None]:
    """Makes all calls inside the model sow what they return, and beside it a scalar.

    A scan over layers stacks both; the scalar's rank then tells that it did. (The option of nnx.capture
    that sows what methods return says nothing of scans and passes over inherited calls.)
    """
    classes = {type(module) for _, module in nnx.iter_modules(model)}
    calls = {cls: cls.__call__ for cls in classes if any("__call__" in vars(base) for base in cls.__mro__)}
    own = {cls for cls in calls if "__call__" in vars(cls)}
    running: list[nnx.Module] = []

    def sowing(call: Callable[..., Any]) -> Callable[..., Any]:
        def sow_output(self: nnx.Module, *args: Any, **kwargs: Any) -> Any:
            inner = any(self is module for module in running)  # a call of super().__call__
            running.append(self)
            try:
                output = call(self, *args, **kwargs)
            finally:
                running.pop()
            array = first_array(output)
            # Only what belongs to the model is captured, not all that is of a class it uses.
            if array is not None and not inner and hasattr(self, "__captures__"):
                self.sow(nnx.Intermediate, _OUTPUT, array)
                self.sow(nnx.Intermediate, _SCALAR, jnp.zeros(()))
            return output

        return sow_output

    for cls, call in calls.items():
        setattr(cls, "__call__", sowing(call))  # noqa: B010
    try:
        yield
    finally:
        for cls, call in calls.items():
            if cls in own:
                setattr(cls, "__call__", call)  # noqa: B010
            else:
                del cls.__call__


def _natural(name: str) -> list[int | str]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
