"""The heads as NNX modules, and hidden states out of any NNX model.

A head here holds parameters of the same names and shapes as the Linen head of the same name, calls the
same function, and takes the same settings; ``linen_parameters`` and ``load_linen_parameters`` convert.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict, Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from flax.core import meta
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from laya_jax import heads
from laya_jax.capture import (
    LayerOutput,
    as_hidden_states,
    as_patterns,
    check_pooling,
    choose,
    first_array,
    traced_names,
)
from laya_jax.checks import check_counts, check_hidden_states, check_layer_masks, check_parameters
from laya_jax.functional import HeadOutput, hidden_widths
from laya_jax.typing import HiddenStates, Parameters


class Head(nnx.Module):
    """What all heads share: parameters under their Linen names, and the Linen head as the settings.

    Attributes:
      settings: the Linen head that says what this one computes.
      widths: of the hidden states, in order.
    """

    def __init__(self, settings: heads.Head, widths: Sequence[int], rngs: nnx.Rngs) -> None:
        check_counts("widths", widths)
        self.settings = settings
        self.widths = tuple(widths)
        for name, shape in settings.shapes(self.widths).items():
            value = heads.initial_value(
                rngs.params(), shape, settings.kernel_init, settings.bias_init, settings.param_dtype
            )
            affine = isinstance(value, dict)
            held = nnx.Dict({k: nnx.Param(v) for k, v in value.items()}) if affine else nnx.Param(value)
            setattr(self, name, held)

    def __call__(self, hidden_states: Any, layer_mask: Any = None) -> HeadOutput:
        """Predicts from the hidden states; arguments, result and errors as for the Linen heads."""
        hidden_states = check_hidden_states(hidden_states)
        if hidden_widths(hidden_states) != self.widths:
            raise ValueError(
                f"hidden_states have widths {hidden_widths(hidden_states)}, "
                f"but the head was made for {self.widths}"
            )
        settings = self.settings
        mask = check_layer_masks(
            settings.layer_mask, layer_mask, hidden_states[0].shape[0], len(hidden_states)
        )
        parameters = linen_parameters(self)
        return settings.compute(*heads.promote(parameters, hidden_states, settings.dtype), mask)


class HeadSettings(TypedDict, total=False):
    """Further settings of every head, as of the Linen heads."""

    layer_mask: tuple[bool, ...] | None
    dtype: DTypeLike | None
    param_dtype: DTypeLike
    kernel_init: Initializer
    bias_init: Initializer


class AdapterSettings(HeadSettings, total=False):
    """Further settings of the heads that bring all layers to one width."""

    rms_normalized: bool


class LayaSettings(AdapterSettings, total=False):
    """Further settings of LAYA."""

    temperature: float
    psi: str
    scorer_width: int | None


class LayaHead(Head):
    """Layer-wise Attention Aggregator as an NNX module.

    Example::

      >>> head = LayaHead([32, 24], num_classes=10, dim=16, rngs=nnx.Rngs(0))
      >>> output = head([jnp.ones((2, 32)), jnp.ones((2, 24))])
      >>> output.logits.shape, output.attention.shape
      ((2, 10), (2, 2))

    Args:
      widths: of the hidden states, in order.
      num_classes: classes.
      dim: width that all layers are brought to.
      **settings: further ones of the Linen ``LayaHead``: ``temperature``, ``psi``, ``scorer_width``,
        ``rms_normalized``, ``layer_mask``, ``dtype``, ``param_dtype``, ``kernel_init``, ``bias_init``.
      rngs: where the parameters are drawn from.
    """

    def __init__(
        self,
        widths: Sequence[int],
        num_classes: int,
        dim: int,
        *,
        rngs: nnx.Rngs,
        **settings: Unpack[LayaSettings],
    ) -> None:
        super().__init__(heads.LayaHead(num_classes=num_classes, dim=dim, **settings), widths, rngs)


class ScalarMixHead(Head):
    """Scalar mix as an NNX module; arguments as for ``LayaHead``, those that the Linen head has.

    Example::

      >>> head = ScalarMixHead([32, 24], num_classes=10, dim=16, rngs=nnx.Rngs(0))
      >>> head([jnp.ones((2, 32)), jnp.ones((2, 24))]).attention[0]
      Array([0.5, 0.5], dtype=float32)
    """

    def __init__(
        self,
        widths: Sequence[int],
        num_classes: int,
        dim: int,
        *,
        rngs: nnx.Rngs,
        **settings: Unpack[AdapterSettings],
    ) -> None:
        super().__init__(heads.ScalarMixHead(num_classes=num_classes, dim=dim, **settings), widths, rngs)


class ConcatHead(Head):
    """Concatenation and a small MLP as an NNX module; arguments as for ``ScalarMixHead``.

    Example::

      >>> head = ConcatHead([32, 24], num_classes=10, dim=16, rngs=nnx.Rngs(0))
      >>> head([jnp.ones((2, 32)), jnp.ones((2, 24))]).logits.shape
      (2, 10)
    """

    def __init__(
        self,
        widths: Sequence[int],
        num_classes: int,
        dim: int,
        *,
        rngs: nnx.Rngs,
        **settings: Unpack[AdapterSettings],
    ) -> None:
        super().__init__(heads.ConcatHead(num_classes=num_classes, dim=dim, **settings), widths, rngs)


class LastLayerHead(Head):
    """The usual output layer as an NNX module; arguments as for ``LayaHead``, without ``dim``.

    Example::

      >>> head = LastLayerHead([32, 24], num_classes=10, rngs=nnx.Rngs(0))
      >>> head([jnp.ones((2, 32)), jnp.ones((2, 24))]).attention[0]
      Array([0., 1.], dtype=float32)
    """

    def __init__(
        self, widths: Sequence[int], num_classes: int, *, rngs: nnx.Rngs, **settings: Unpack[HeadSettings]
    ) -> None:
        super().__init__(heads.LastLayerHead(num_classes=num_classes, **settings), widths, rngs)


def linen_parameters(head: Head) -> Parameters:
    """The head's parameters as the Linen head of the same name takes them: ``apply({"params": ...}, ...)``.

    >>> head = LastLayerHead([4], num_classes=2, rngs=nnx.Rngs(0))
    >>> linen_parameters(head)["classifier"]["kernel"].shape
    (4, 2)
    """
    return nnx.to_pure_dict(nnx.state(head, nnx.Param))


def load_linen_parameters(head: Head, parameters: Parameters) -> None:
    """Replaces the head's parameters by those of a Linen head, ``variables["params"]``, in its own dtype.

    Raises:
      ValueError: a parameter that is missing, not expected or of another shape, by name.

    >>> head = LastLayerHead([4], num_classes=2, rngs=nnx.Rngs(0))
    >>> load_linen_parameters(head, {"classifier": {"kernel": jnp.ones((4, 2)), "bias": jnp.ones(2)}})
    >>> head([jnp.ones((1, 4))]).logits
    Array([[5., 5.]], dtype=float32)
    """
    parameters, dtype = meta.unbox(dict(parameters)), head.settings.param_dtype
    check_parameters(parameters, head.settings.shapes(head.widths), f"this head for widths {head.widths}")
    state = nnx.state(head, nnx.Param)
    nnx.replace_by_pure_dict(state, jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), parameters))
    nnx.update(head, state)


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
      model: any NNX module; it is left as it is, its random state and batch statistics included.
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
