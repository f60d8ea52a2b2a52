"""The heads as Linen modules: they hold the parameters, ``functional`` holds the mathematics.

All are interchangeable: ``head(hidden_states, layer_mask=None) -> HeadOutput``.
"""

from typing import ClassVar, Self

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from laya_jax.checks import check_choice, check_count
from laya_jax.heads import functional
from laya_jax.heads.base import AdapterHead, Head, LayerVotes
from laya_jax.heads.checks import check_last_layer_kept, check_temperature
from laya_jax.heads.functional import HeadOutput
from laya_jax.heads.layer_attention import vote
from laya_jax.heads.parameters import Shapes
from laya_jax.heads.reading import read_layers
from laya_jax.typing import Array, HiddenStates, LayerMask, Parameters


class LayaHead(AdapterHead):
    """Layer-wise Attention Aggregator: a classifier on a mix of layers, weighed by attention per sample.

    ``z_i = g_i(h_i)``, ``alpha = softmax(scorer(psi(z)) / temperature)``,
    ``logits = W sum_i alpha_i z_i + b``.

    Example::

      >>> head = LayaHead(num_classes=10, dim=16)
      >>> hidden_states = [jnp.ones((2, 32)), jnp.ones((2, 24))]
      >>> variables = head.init(jax.random.key(0), hidden_states)
      >>> output = head.apply(variables, hidden_states)
      >>> output.logits.shape, output.attention.shape, output.contributions.shape
      ((2, 10), (2, 2), (2, 2, 10))

    Reference: LAYA (arXiv 2511.12723). Its best settings are ``dim=96, temperature=1.5,
    scorer_width=192`` for Fashion-MNIST, ``dim=128, temperature=1.0, scorer_width=128`` for CIFAR-10
    and ``dim=96, temperature=1.3, psi="mlp", scorer_width=192`` for IMDB.

    Attributes:
      num_classes: Number of classes, K.
      dim: Shared width that all layers are projected to, d* in the paper.
      temperature: Divisor of the scores, greater than 0; smaller values sharpen attention.
      psi: Input of the scorer for each layer: "identity" (``z_i`` itself) or "mlp" (a shared MLP of ``z_i``).
      scorer_width: Hidden width of the scorer; None means ``dim``.
      attention_heads: Number of attention heads, each weighing the layers for its own slice of ``dim``; must
        divide ``dim``. The paper uses one; ``attention`` is the mean over heads.
      uniform_start: True to initialise the scorer's last map to zero, so that attention starts uniform. Not
        in the paper.
    """

    weighs_layers: ClassVar[bool] = True
    weighs_per_input: ClassVar[bool] = True

    num_classes: int
    dim: int
    temperature: float = 1.0
    psi: str = "identity"
    scorer_width: int | None = None
    attention_heads: int = 1
    uniform_start: bool = False

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes)
        check_count("dim", self.dim)
        check_temperature(self.temperature)
        check_choice("psi", self.psi, functional.PSI)
        if self.scorer_width is not None:
            check_count("scorer_width", self.scorer_width)
        check_count("attention_heads", self.attention_heads)
        if self.dim % self.attention_heads:
            raise ValueError(
                f"attention_heads is {self.attention_heads}, expected a divisor of dim, {self.dim}"
            )
        super().__post_init__()

    def shapes(self, widths: tuple[int, ...]) -> Shapes:
        """Returns the shapes of the parameters for hidden states of these widths."""
        return functional.laya_shapes(
            widths,
            num_classes=self.num_classes,
            dim=self.dim,
            psi=self.psi,
            scorer_width=self.scorer_width,
            attention_heads=self.attention_heads,
        )

    def kernel_init_of(self, name: str) -> Initializer:
        """Returns the initialiser of the kernel of this name."""
        starts_at_zero = self.uniform_start and name == "scorer_output"
        return nn.initializers.zeros if starts_at_zero else self.kernel_init

    def compute(
        self,
        parameters: Parameters,
        hidden_states: HiddenStates,
        layer_mask: LayerMask | None,
        key: Array | None = None,
    ) -> HeadOutput:
        """Computes the head's output from arguments that have been checked."""
        return functional.laya(
            parameters,
            hidden_states,
            temperature=self.temperature,
            reading=self.reading,
            layer_mask=layer_mask,
            key=key,
        )

    def votes(self, parameters: Parameters, hidden_states: HiddenStates) -> LayerVotes:
        """Returns the score and the vote of every layer."""
        scores, z = read_layers(parameters, hidden_states, self.reading)
        return _votes(parameters, scores / self.temperature, z)

    @property
    def scale_is_free(self) -> bool:
        """True if scaling an adapter up and its attention down can leave the logits unchanged."""
        return self.psi == "identity" and not self.rms_normalized

    def randomized(self) -> Self:
        """Returns the head with random initial attention, if its own starts uniform."""
        return self.clone(uniform_start=False)


class ScalarMixHead(AdapterHead):
    """Scalar mix: one learned weight per layer, the same for every sample.

    ``logits = W sum_i softmax(scores)_i g_i(h_i) + b``; the scores start at zero, which weighs all layers
    equally.

    Example::

      >>> head = ScalarMixHead(num_classes=10, dim=16)
      >>> hidden_states = [jnp.ones((2, 32)), jnp.ones((2, 24))]
      >>> head.init_with_output(jax.random.key(0), hidden_states)[0].attention[0]
      Array([0.5, 0.5], dtype=float32)

    Reference: Peters et al. 2018, Deep contextualized word representations.

    Attributes:
      num_classes: Number of classes, K.
      dim: Shared width that all layers are projected to.
    """

    weighs_layers: ClassVar[bool] = True

    num_classes: int
    dim: int

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes)
        check_count("dim", self.dim)
        super().__post_init__()

    def shapes(self, widths: tuple[int, ...]) -> Shapes:
        """Returns the shapes of the parameters for hidden states of these widths."""
        return functional.scalar_mix_shapes(widths, num_classes=self.num_classes, dim=self.dim)

    def compute(
        self,
        parameters: Parameters,
        hidden_states: HiddenStates,
        layer_mask: LayerMask | None,
        key: Array | None = None,
    ) -> HeadOutput:
        """Computes the head's output from arguments that have been checked."""
        return functional.scalar_mix(
            parameters, hidden_states, reading=self.reading, layer_mask=layer_mask, key=key
        )

    def votes(self, parameters: Parameters, hidden_states: HiddenStates) -> LayerVotes:
        """Returns the score and the vote of every layer."""
        return _votes(parameters, *read_layers(parameters, hidden_states, self.reading))

    @property
    def scale_is_free(self) -> bool:
        """True if scaling an adapter up and its attention down can leave the logits unchanged."""
        return not self.rms_normalized


class ConcatHead(AdapterHead):
    """Concatenation of all adapted layers, then a small MLP; has no attention and no contributions.

    ``logits = W GELU(V [z_1, ..., z_L]) + b``; a masked layer enters as zeros.

    Example::

      >>> head = ConcatHead(num_classes=10, dim=16)
      >>> hidden_states = [jnp.ones((2, 32)), jnp.ones((2, 24))]
      >>> head.init_with_output(jax.random.key(0), hidden_states)[0].logits.shape
      (2, 10)

    Reference: LAYA (arXiv 2511.12723), baseline Concat.

    Attributes:
      num_classes: Number of classes, K.
      dim: Shared width that all layers are projected to, and width of the MLP.
    """

    num_classes: int
    dim: int

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes)
        check_count("dim", self.dim)
        super().__post_init__()

    def shapes(self, widths: tuple[int, ...]) -> Shapes:
        """Returns the shapes of the parameters for hidden states of these widths."""
        return functional.concat_shapes(widths, num_classes=self.num_classes, dim=self.dim)

    def compute(
        self,
        parameters: Parameters,
        hidden_states: HiddenStates,
        layer_mask: LayerMask | None,
        key: Array | None = None,
    ) -> HeadOutput:
        """Computes the head's output from arguments that have been checked."""
        return functional.concat(
            parameters, hidden_states, reading=self.reading, layer_mask=layer_mask, key=key
        )


class LastLayerHead(Head):
    """The usual output layer, ``logits = W h_L + b``, with the interface of the other heads.

    Only the last hidden state is used, so the number of the others may differ from that at ``init``.

    Example::

      >>> head = LastLayerHead(num_classes=10)
      >>> hidden_states = [jnp.ones((2, 32)), jnp.ones((2, 24))]
      >>> head.init_with_output(jax.random.key(0), hidden_states)[0].attention[0]
      Array([0., 1.], dtype=float32)

    Attributes:
      num_classes: Number of classes, K.
    """

    num_classes: int

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes)
        super().__post_init__()

    def shapes(self, widths: tuple[int, ...]) -> Shapes:
        """Returns the shapes of the parameters for hidden states of these widths."""
        return functional.last_layer_shapes(widths, num_classes=self.num_classes)

    def compute(
        self,
        parameters: Parameters,
        hidden_states: HiddenStates,
        layer_mask: LayerMask | None,
        key: Array | None = None,
    ) -> HeadOutput:
        """Computes the head's output from arguments that have been checked."""
        check_last_layer_kept(layer_mask)
        return functional.last_layer(
            parameters, hidden_states, layer_normalized=self.layer_normalized, layer_mask=layer_mask
        )


def _votes(parameters: Parameters, scores: Array, z: Array) -> LayerVotes:
    classifier = parameters["classifier"]
    return LayerVotes(
        scores,
        vote(z, classifier["kernel"], scores.shape[2]),
        jnp.linalg.norm(z.astype(jnp.float32), axis=-1),
        classifier["bias"],
    )
