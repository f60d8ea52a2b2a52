"""What all heads share: a Linen module that holds and checks parameters, and calls a pure function."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.core import meta
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from laya_jax.checks import (
    check_hidden_states,
    check_layer_masks,
    check_number,
    check_parameters,
    check_static_mask,
)
from laya_jax.functional import HeadOutput
from laya_jax.parameters import Shapes, hidden_widths, initial_value, promote
from laya_jax.reading import LayerMask, Reading
from laya_jax.typing import Array, HiddenStates, Parameters


class Head(nn.Module, kw_only=True):
    """What all heads share. A head gives the shapes of its parameters and computes with them.

    Attributes:
      layer_mask: True where a layer may be used, one per layer, for all samples; None keeps all.
      layer_normalized: whether every hidden state is brought to mean 0 and standard deviation 1 before it is
        read. Not in the paper; for pretrained networks, whose layers differ in scale.
      dtype: of the computation; None takes what parameters and hidden states promote to. Attention is
        in float32 or better whatever it is.
      param_dtype: of the parameters.
      kernel_init: initialiser of the kernels.
      bias_init: initialiser of the biases.
    """

    layer_mask: tuple[bool, ...] | None = None
    layer_normalized: bool = False
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.glorot_uniform()
    bias_init: Initializer = nn.initializers.zeros

    def __post_init__(self) -> None:
        # Flax freezes the fields in its own __post_init__.
        object.__setattr__(self, "layer_mask", check_static_mask(self.layer_mask))
        super().__post_init__()

    def shapes(self, widths: tuple[int, ...]) -> Shapes:
        """Shapes of the parameters for hidden states of these widths."""
        raise TypeError("Head is abstract, expected one of its subclasses")

    def compute(
        self,
        parameters: Parameters,
        hidden_states: HiddenStates,
        layer_mask: LayerMask,
        key: Array | None = None,
    ) -> HeadOutput:
        """The head's output, from arguments that have been checked."""
        raise TypeError("Head is abstract, expected one of its subclasses")

    @nn.compact
    def __call__(
        self, hidden_states: Any, layer_mask: Any = None, *, deterministic: bool = True
    ) -> HeadOutput:
        """Predicts from the hidden states.

        Args:
          hidden_states: ordered sequence of L arrays [B, d_i], or one array [L, B, D] as a scan over
            layers gives it. Parameters made with the one serve the other.
          layer_mask: True where a layer may be used, [L] or [B, L]; joins the static one.
          deterministic: False while training a head with dropout, which then asks for the random stream
            "dropout".

        Returns:
          A ``HeadOutput``.

        Raises:
          TypeError: hidden states that are no ordered arrays of floating point; a mask that is no bool.
          ValueError: no hidden states, mixed batch sizes, a wrong rank, another number or other widths
            than at init, a mask of the wrong shape or one that leaves a sample without a layer.
        """
        hidden_states = check_hidden_states(hidden_states)
        mask = check_layer_masks(self.layer_mask, layer_mask, hidden_states[0].shape[0], len(hidden_states))
        parameters = self._parameters(hidden_widths(hidden_states))
        key = self.make_rng("dropout") if self.is_random and not deterministic else None
        return self.compute(*promote(parameters, hidden_states, self.dtype), mask, key)

    @property
    def is_random(self) -> bool:
        """Whether training leaves something out at random."""
        return False

    def _parameters(self, widths: tuple[int, ...]) -> Parameters:
        shapes = self.shapes(widths)
        held = meta.unbox(self.variables.get("params", {}))
        if held and not self.is_initializing():
            check_parameters(held, shapes, f"{len(widths)} hidden states of widths {widths}")
        return {
            name: self.param(
                name, initial_value, shape, self.kernel_init_of(name), self.bias_init, self.param_dtype
            )
            for name, shape in shapes.items()
        }

    def kernel_init_of(self, name: str) -> Initializer:
        """Initialiser of the kernel of this name."""
        return self.kernel_init


class AdapterHead(Head, kw_only=True):
    """What the heads share that bring all layers to one width.

    Attributes:
      rms_normalized: whether every adapted layer ``z_i`` is brought to the root mean square 1. Not in
        the paper: it removes the freedom to scale an adapter up and its attention down.
      dropout: share of the numbers of every ``z_i`` that training leaves out, from 0 to below 1. Not in the
        paper; against overfitting where examples are few.
      layer_dropout: share of each sample's layers that training masks, from 0 to below 1. Not in the paper;
        no prediction can then hang on one layer alone.
    """

    rms_normalized: bool = False
    dropout: float = 0.0
    layer_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("dropout", "layer_dropout"):
            check_number(name, getattr(self, name), lambda share: 0 <= share < 1, "from 0 to below 1")
        super().__post_init__()

    @property
    def reading(self) -> Reading:
        """How the layers are read."""
        return Reading(self.layer_normalized, self.rms_normalized, self.dropout, self.layer_dropout)

    @property
    def is_random(self) -> bool:
        """Whether training leaves something out at random."""
        return bool(self.dropout or self.layer_dropout)
