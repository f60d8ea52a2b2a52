"""The heads as NNX modules.

Each head has the same settings, the same parameter names and shapes, and calls the same function as the Linen
head of the same name; ``linen_parameters`` and ``load_linen_parameters`` convert between them.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from flax.core import meta
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from laya_jax import heads
from laya_jax.checks import check_counts
from laya_jax.heads import (
    HeadOutput,
    check_hidden_states,
    check_layer_masks,
    check_parameters,
    hidden_widths,
    initial_value,
    promote,
)
from laya_jax.typing import Array, HiddenStates, LayerMaskLike, Parameters


class Head(nnx.Module):
    """Base class of all heads: parameters under their Linen names, with the Linen head as the settings.

    Attributes:
      settings: Linen head that defines the computation.
      widths: Widths of the hidden states, in order.
      deterministic: True while dropout is off: until ``train()``, and again after ``eval()``.
      rngs: Random stream for dropout, forked from the stream "dropout" at construction; None if the head has
        no dropout or there was no such stream.
    """

    def __init__(self, settings: heads.Head, widths: Sequence[int], rngs: nnx.Rngs) -> None:
        check_counts("widths", widths)
        self.settings = settings
        self.widths = tuple(widths)
        self.deterministic = True
        draws = settings.is_random and _has_dropout(rngs)
        self.rngs = rngs["dropout"].fork() if draws else nnx.data(None)
        for name, shape in settings.shapes(self.widths).items():
            value = initial_value(
                rngs.params(), shape, settings.kernel_init_of(name), settings.bias_init, settings.param_dtype
            )
            held = (
                nnx.Dict({k: nnx.Param(v) for k, v in value.items()})
                if isinstance(value, Mapping)
                else nnx.Param(value)
            )
            setattr(self, name, held)

    def __call__(
        self,
        hidden_states: HiddenStates,
        layer_mask: LayerMaskLike | None = None,
        *,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> HeadOutput:
        """Predicts from the hidden states; result and errors as for the Linen heads.

        Args:
          hidden_states: Hidden states, as for the Linen heads.
          layer_mask: True for each layer that may be used, [L] or [B, L].
          deterministic: True to disable dropout; None follows ``train()`` and ``eval()``.
          rngs: Random streams with a stream "dropout"; None uses the one from construction.
        """
        hidden_states = check_hidden_states(hidden_states)
        shapes = self.settings.shapes(hidden_widths(hidden_states))
        if shapes != self.settings.shapes(self.widths):
            raise ValueError(
                f"hidden_states have widths {hidden_widths(hidden_states)}, "
                f"but the head was made for {self.widths}"
            )
        settings = self.settings
        mask = check_layer_masks(
            settings.layer_mask, layer_mask, hidden_states[0].shape[0], len(hidden_states)
        )
        parameters = linen_parameters(self)
        deterministic = self.deterministic if deterministic is None else deterministic
        key = None if deterministic or not settings.is_random else self._dropout_key(rngs)
        return settings.compute(*promote(parameters, hidden_states, settings.dtype), mask, key)

    def _dropout_key(self, rngs: nnx.Rngs | None) -> Array:
        if rngs is not None and not _has_dropout(rngs):
            raise ValueError(f'rngs has the streams {", ".join(rngs)}, expected "dropout" or "default"')
        if rngs is not None:
            return rngs.dropout()
        if self.rngs is None:
            raise ValueError(
                'rngs had no stream "dropout" when this head was made, expected one to train with dropout'
            )
        return self.rngs()


class HeadSettings(TypedDict, total=False):
    """Optional settings of every head, as for the Linen heads."""

    layer_mask: tuple[bool, ...] | None
    layer_normalized: bool
    dtype: DTypeLike | None
    param_dtype: DTypeLike
    kernel_init: Initializer
    bias_init: Initializer


class AdapterSettings(HeadSettings, total=False):
    """Optional settings of the heads that project all layers to one width."""

    rms_normalized: bool
    dropout: float
    layer_dropout: float


class LayaSettings(AdapterSettings, total=False):
    """Optional settings of LAYA."""

    temperature: float
    psi: str
    scorer_width: int | None
    attention_heads: int
    uniform_start: bool


class LayaHead(Head):
    """Layer-wise Attention Aggregator as an NNX module.

    Example::

      >>> head = LayaHead([32, 24], num_classes=10, dim=16, rngs=nnx.Rngs(0))
      >>> output = head([jnp.ones((2, 32)), jnp.ones((2, 24))])
      >>> output.logits.shape, output.attention.shape
      ((2, 10), (2, 2))

    Args:
      widths: Widths of the hidden states, in order.
      num_classes: Number of classes, K.
      dim: Shared width that all layers are projected to.
      rngs: Random streams for the initial parameters, and for dropout.
      **settings: Optional settings of the Linen ``LayaHead``: ``temperature``, ``psi``, ``scorer_width``,
        ``attention_heads``, ``uniform_start``, ``rms_normalized``, ``layer_normalized``, ``dropout``,
        ``layer_dropout``, ``layer_mask``, ``dtype``, ``param_dtype``, ``kernel_init``, ``bias_init``.
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
    """Scalar mix as an NNX module; arguments as for ``LayaHead``, with the settings of the Linen head.

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


def _has_dropout(rngs: nnx.Rngs) -> bool:
    return "dropout" in rngs or "default" in rngs


def linen_parameters(head: Head) -> Parameters:
    """Returns the parameters as the Linen head of the same name takes them: ``apply({"params": ...}, ...)``.

    >>> head = LastLayerHead([4], num_classes=2, rngs=nnx.Rngs(0))
    >>> linen_parameters(head)["classifier"]["kernel"].shape
    (4, 2)
    """
    return nnx.to_pure_dict(nnx.state(head, nnx.Param))


def load_linen_parameters(head: Head, parameters: Parameters) -> None:
    """Loads the parameters of a Linen head, ``variables["params"]``, keeping this head's dtype.

    Raises:
      ValueError: A parameter is missing, unexpected or of another shape; the message names it.

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
