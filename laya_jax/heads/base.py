"""Base classes of the heads: Linen modules that hold and check parameters and call a pure function."""

from typing import ClassVar, NamedTuple, Self

import flax.linen as nn
import jax.numpy as jnp
from flax.core import meta
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from laya_jax.checks import check_number
from laya_jax.heads.checks import check_hidden_states, check_layer_masks, check_parameters, check_static_mask
from laya_jax.heads.functional import HeadOutput
from laya_jax.heads.parameters import Shapes, hidden_widths, initial_value, promote
from laya_jax.heads.reading import Reading
from laya_jax.typing import Array, HiddenStates, LayerMask, LayerMaskLike, Parameters


class LayerVotes(NamedTuple):
    """Scores and votes of layers: ``logits = bias + sum_i attention_i votes_i``, with G attention heads.

    Attributes:
      scores: Scores of the layers divided by the temperature, [B, L, G]; attention is their softmax.
      votes: Logits of each layer alone without bias, [B, L, G, K].
      norms: Euclidean norm of what each layer passes on to the classifier, [B, L].
      bias: Bias of the classifier, [K].
    """

    scores: Array
    votes: Array
    norms: Array
    bias: Array


class Head(nn.Module, kw_only=True):
    """Base class of all heads. A subclass defines the shapes of its parameters and computes with them.

    Attributes:
      layer_mask: True for each layer that may be used, for all samples; None keeps all layers.
      layer_normalized: True to standardise every hidden state (mean 0, standard deviation 1) before it is
        used. Not in the paper; for pretrained networks, whose layers differ in scale.
      dtype: Dtype of the computation; None promotes parameters and hidden states to a common one. Attention
        is always computed in float32 or better.
      param_dtype: Dtype of the parameters.
      kernel_init: Initialiser of the kernels.
      bias_init: Initialiser of the biases.
      weighs_layers: True if the head weighs layers, which ``votes`` then explains.
      weighs_per_input: True if these weights depend on the input.
      is_solved: True if the parameters are solved for in closed form rather than trained.
    """

    weighs_layers: ClassVar[bool] = False
    weighs_per_input: ClassVar[bool] = False
    is_solved: ClassVar[bool] = False

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
        """Returns the shapes of the parameters for hidden states of these widths."""
        raise TypeError("Head is abstract, expected one of its subclasses")

    def compute(
        self,
        parameters: Parameters,
        hidden_states: HiddenStates,
        layer_mask: LayerMask | None,
        key: Array | None = None,
    ) -> HeadOutput:
        """Computes the head's output from arguments that have been checked."""
        raise TypeError("Head is abstract, expected one of its subclasses")

    def votes(self, parameters: Parameters, hidden_states: HiddenStates) -> LayerVotes:
        """Returns the score and the vote of every layer.

        Raises:
          TypeError: The head does not weigh layers.
        """
        raise TypeError(f"head is a {type(self).__name__}, which has no attention over layers")

    @nn.compact
    def __call__(
        self,
        hidden_states: HiddenStates,
        layer_mask: LayerMaskLike | None = None,
        *,
        deterministic: bool = True,
    ) -> HeadOutput:
        """Predicts from the hidden states.

        Args:
          hidden_states: Ordered sequence of L arrays [B, d_i], or one array [L, B, D] as ``nn.scan`` over
            layers returns it. Both forms use the same parameters.
          layer_mask: True for each layer that may be used, [L] or [B, L]; combined with the static mask.
          deterministic: False to apply dropout, which needs the random stream "dropout".

        Returns:
          A ``HeadOutput``.

        Raises:
          TypeError: The hidden states are not ordered floating-point arrays, or the mask is not boolean.
          ValueError: There are no hidden states; their batch sizes, ranks, number or widths do not fit; or
            the mask has the wrong shape or leaves a sample without a layer.
        """
        hidden_states = check_hidden_states(hidden_states)
        mask = check_layer_masks(self.layer_mask, layer_mask, hidden_states[0].shape[0], len(hidden_states))
        parameters = self._parameters(hidden_widths(hidden_states))
        key = self.make_rng("dropout") if self.is_random and not deterministic else None
        return self.compute(*promote(parameters, hidden_states, self.dtype), mask, key)

    @property
    def is_random(self) -> bool:
        """True if the head applies dropout while training."""
        return False

    @property
    def scale_is_free(self) -> bool:
        """True if scaling an adapter up and its attention down can leave the logits unchanged."""
        return False

    def randomized(self) -> Self:
        """Returns the head with random initial attention, if its own starts uniform."""
        return self

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
        """Returns the initialiser of the kernel of this name."""
        return self.kernel_init


class AdapterHead(Head, kw_only=True):
    """Base class of the heads that project all layers to one width.

    Attributes:
      rms_normalized: True to scale every adapted layer ``z_i`` to root mean square 1. Not in the paper: it
        removes the freedom to scale an adapter up and its attention down.
      dropout: Dropout rate on the entries of every ``z_i``, in [0, 1). Not in the paper; reduces overfitting
        when examples are few.
      layer_dropout: Probability of masking each layer of a sample while training, in [0, 1). Not in the
        paper; keeps predictions from depending on a single layer.
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
        """Preprocessing of the layers, as a ``Reading``."""
        return Reading(self.layer_normalized, self.rms_normalized, self.dropout, self.layer_dropout)

    @property
    def is_random(self) -> bool:
        """True if the head applies dropout while training."""
        return bool(self.dropout or self.layer_dropout)
