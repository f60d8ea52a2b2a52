"""Multilayer perceptron of the paper's Fashion-MNIST experiments."""

import math
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from laya_jax.backbones.normalization import NormalizedGelu
from laya_jax.checks import check_counts
from laya_jax.typing import Array, ArrayLike, Float


class MLP(nn.Module):
    """Multilayer perceptron on flattened inputs: ``h_i = GELU(LayerNorm(Dense(h_{i-1})))``.

    Example::

      >>> import jax
      >>> images = jnp.ones((2, 28, 28))
      >>> hidden_states, variables = MLP(widths=(32, 16)).init_with_output(jax.random.key(0), images)
      >>> [state.shape for state in hidden_states]
      [(2, 32), (2, 16)]

    Reference: LAYA (arXiv 2511.12723), Fashion-MNIST.

    Attributes:
      widths: Widths of the hidden states, in order.
      epsilon: Epsilon of the layer normalisation; the default is that of Keras, as in the paper.
      dtype: Dtype of the computation; None promotes parameters and input to a common one.
      param_dtype: Dtype of the parameters.
      kernel_init: Initialiser of the kernels.
    """

    widths: Sequence[int] = (512, 256, 128)
    epsilon: float = 1e-3
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.glorot_uniform()

    def __post_init__(self) -> None:
        check_counts("widths", self.widths)
        super().__post_init__()

    @nn.compact
    def __call__(self, inputs: Float[ArrayLike, "batch *features"]) -> tuple[Float[Array, "batch _"], ...]:
        """Returns one hidden state [B, widths[i]] per layer, for inputs [B, ...]."""
        if jnp.ndim(inputs) < 2 or not jnp.issubdtype(jnp.result_type(inputs), jnp.floating):
            raise ValueError(
                f"inputs have shape {jnp.shape(inputs)} and dtype {jnp.result_type(inputs)}, "
                "expected [batch, ...] in floating point"
            )
        dense = partial(
            nn.Dense, kernel_init=self.kernel_init, dtype=self.dtype, param_dtype=self.param_dtype
        )
        norm = partial(NormalizedGelu, self.epsilon, self.dtype, self.param_dtype)
        state = inputs.reshape(inputs.shape[0], math.prod(inputs.shape[1:]))
        hidden_states = []
        for i, width in enumerate(self.widths):
            state = norm(name=f"norm_{i}")(dense(width, name=f"dense_{i}")(state))
            hidden_states.append(state)
        return tuple(hidden_states)
