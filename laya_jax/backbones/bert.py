"""BERT, a transformer over the tokens of a text."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from laya_jax.backbones.transformer import FeedForward, SelfAttention, Transformer, check_pooling, pooled
from laya_jax.checks import check_count, check_position_mask
from laya_jax.typing import Array, ArrayLike, Bool, Float, Int


class BERT(Transformer):
    """Token embeddings and layers of attention; the embeddings and each layer's output are hidden states.

    ``x = norm(x + attention(x))``, ``x = norm(x + mlp(x))``.

    Example::

      >>> import jax
      >>> backbone = BERT(vocabulary_size=50, width=8, depth=2, heads=2, max_length=16)
      >>> hidden_states, _ = backbone.init_with_output(jax.random.key(0), jnp.array([[4, 7, 9, 0]]))
      >>> [state.shape for state in hidden_states]
      [(1, 8), (1, 8), (1, 8)]

    Reference: Devlin et al. 2019.

    Attributes:
      vocabulary_size: Number of tokens.
      width: Width of the hidden states.
      depth: Number of layers.
      heads: Number of heads in each attention.
      mlp_width: Hidden width of the MLP in each layer; None means four times the width.
      max_length: Maximum number of tokens per text: the number of position embeddings.
      padding_id: Token that marks padding.
      pooling: Pooling over positions: "mean" over the tokens, "cls" for the first token, or several joined
        by "+"; None returns the hidden states of all positions, [B, T, width].
      epsilon: Epsilon of the layer normalisations.
      dtype: Dtype of the computation; None means that of the parameters.
      param_dtype: Dtype of the parameters.
    """

    vocabulary_size: int = 30_522
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int | None = None
    max_length: int = 512
    padding_id: int = 0
    pooling: str | None = "mean"
    epsilon: float = 1e-12
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        for name in ("vocabulary_size", "width", "depth", "heads", "max_length"):
            check_count(name, getattr(self, name))
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, expected a divisor of the width, {self.width}")
        check_pooling(self.pooling)
        super().__post_init__()

    @property
    def example(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of an input, for initialisation."""
        return jax.ShapeDtypeStruct((1, 1), jnp.int32)

    @nn.compact
    def __call__(
        self, tokens: Int[ArrayLike, "batch token"], mask: Bool[ArrayLike, "batch token"] | None = None
    ) -> tuple[Array, ...]:
        """Returns depth + 1 hidden states, [B, D], for tokens [B, T].

        Args:
          tokens: Tokens, [B, T], with T at most ``max_length``.
          mask: True where there is a token, [B, T]; None means every token but ``padding_id``.
        """
        if jnp.ndim(tokens) != 2 or not jnp.issubdtype(jnp.result_type(tokens), jnp.integer):
            raise ValueError(
                f"tokens have shape {jnp.shape(tokens)} and dtype {jnp.result_type(tokens)}, "
                "expected [batch, token] of integers"
            )
        if tokens.shape[1] > self.max_length:
            raise ValueError(f"tokens have length {tokens.shape[1]}, expected at most {self.max_length}")
        here = tokens != self.padding_id if mask is None else check_position_mask(mask, tokens.shape)
        states = self._embedded(tokens)
        hidden_states = [states]
        for i in range(self.depth):
            states = Layer(
                self.heads,
                self.mlp_width or 4 * self.width,
                self.epsilon,
                self.dtype,
                self.param_dtype,
                name=f"layer_{i}",
            )(states, here)
            hidden_states.append(states)
        if self.pooling is None:
            return tuple(hidden_states)
        return tuple(pooled(state, self.pooling, here) for state in hidden_states)

    def _embedded(self, tokens: ArrayLike) -> Array:
        options: Any = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        small = nn.initializers.normal(0.02)
        words = nn.Embed(self.vocabulary_size, self.width, embedding_init=small, name="words", **options)
        positions = self.param("positions", small, (self.max_length, self.width), self.param_dtype)
        # All tokens belong to one segment: the second segment embedding is never used.
        segment = self.param("segment", small, (1, self.width), self.param_dtype)
        added = (positions[: tokens.shape[1]] + segment)[None]
        states, added = nn.dtypes.promote_dtype(words(tokens), added, dtype=self.dtype)
        norm = nn.LayerNorm(self.epsilon, name="norm", use_fast_variance=False, **options)
        return norm(states + added)


class Layer(nn.Module):
    """One layer: attention and MLP, each added to its input and then normalised.

    Attributes:
      heads: Number of heads in the attention.
      mlp_width: Hidden width of the MLP.
      epsilon: Epsilon of the layer normalisations.
      dtype: Dtype of the computation.
      param_dtype: Dtype of the parameters.
    """

    heads: int
    mlp_width: int
    epsilon: float
    dtype: DTypeLike | None
    param_dtype: DTypeLike

    @nn.compact
    def __call__(
        self, states: Float[Array, "batch token width"], mask: Bool[ArrayLike, "batch token"]
    ) -> Float[Array, "batch token width"]:
        """Returns [B, T, D]."""
        options: Any = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        norms = [
            nn.LayerNorm(self.epsilon, name=f"norm_{number}", use_fast_variance=False, **options)
            for number in (1, 2)
        ]
        states = norms[0](states + SelfAttention(self.heads, name="attention", **options)(states, mask))
        return norms[1](states + FeedForward(self.mlp_width, name="mlp", **options)(states))
