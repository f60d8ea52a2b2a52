"""Stacked bidirectional LSTM of the paper's IMDB experiments."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from laya_jax.backbones.lstm import LSTM
from laya_jax.checks import check_count, check_counts, check_position_mask
from laya_jax.typing import Array, ArrayLike, Bool, Float, Int


class BiLSTM(nn.Module):
    """Token embedding and stacked bidirectional LSTMs; the final states of a layer are its hidden state.

    Padding on either side is skipped: the recurrence keeps its state there, so that the hidden states do not
    depend on the padded length of a text.

    Example::

      >>> tokens = jnp.array([[5, 3, 8, 0], [7, 2, 0, 0]])
      >>> model = BiLSTM(vocabulary_size=10, embedding_dim=4, widths=(6, 6))
      >>> hidden_states, variables = model.init_with_output(jax.random.key(0), tokens)
      >>> [state.shape for state in hidden_states]
      [(2, 12), (2, 12)]

    Reference: LAYA (arXiv 2511.12723), IMDB. The paper does not state the widths.

    Attributes:
      vocabulary_size: Number of tokens, padding included.
      embedding_dim: Width of the embedding.
      widths: Width of one direction of each LSTM, in order.
      padding_id: Token that marks padding.
      dtype: Dtype of the computation; None means that of the parameters.
      param_dtype: Dtype of the parameters.
      kernel_init: Initialiser of the input kernels.
      recurrent_init: Initialiser of the recurrent kernels.
      embedding_init: Initialiser of the embedding.
    """

    vocabulary_size: int = 20_000
    embedding_dim: int = 128
    widths: Sequence[int] = (64, 64)
    padding_id: int = 0
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.glorot_uniform()
    recurrent_init: Initializer = nn.initializers.orthogonal()
    embedding_init: Initializer = nn.initializers.uniform(0.05)

    def __post_init__(self) -> None:
        check_count("vocabulary_size", self.vocabulary_size)
        check_count("embedding_dim", self.embedding_dim)
        check_counts("widths", self.widths)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, tokens: Int[ArrayLike, "batch token"], mask: Bool[ArrayLike, "batch token"] | None = None
    ) -> tuple[Float[Array, "batch _"], ...]:
        """Returns one hidden state [B, 2 * widths[i]] per layer, the forward direction first.

        Args:
          tokens: Token numbers [B, T].
          mask: True for each token that is not padding; None means all but ``padding_id``.
        """
        if jnp.ndim(tokens) != 2 or not jnp.issubdtype(jnp.result_type(tokens), jnp.integer):
            raise ValueError(
                f"tokens have shape {jnp.shape(tokens)} and dtype {jnp.result_type(tokens)}, "
                "expected [batch, token] of integers"
            )
        embed = nn.Embed(
            self.vocabulary_size,
            self.embedding_dim,
            self.dtype,
            self.param_dtype,
            embedding_init=self.embedding_init,
            name="embedding",
        )
        lstm = partial(
            LSTM,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            kernel_init=self.kernel_init,
            recurrent_init=self.recurrent_init,
        )
        here = tokens != self.padding_id if mask is None else check_position_mask(mask, tokens.shape)
        present = jnp.swapaxes(here, 0, 1)
        # Time comes first from here on, so that the recurrence reads contiguous rows.
        sequence = embed(jnp.swapaxes(tokens, 0, 1))
        hidden_states = []
        for i, width in enumerate(self.widths):
            forward, backward = lstm(width, name=f"forward_{i}"), lstm(width, True, name=f"backward_{i}")
            outputs, finals = zip(forward(sequence, present), backward(sequence, present), strict=True)
            sequence = jnp.concatenate(outputs, axis=-1)
            hidden_states.append(jnp.concatenate(finals, axis=-1))
        return tuple(hidden_states)
