"""Long short-term memory with a custom gradient: little is stored, and matrix products are large."""

import math
from functools import partial
from typing import NamedTuple, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from laya_jax.typing import Array, ArrayLike, Bool, Float

STEPS = 16
"""Positions per block: large enough for large products, small enough to stay in a CPU's cache."""

State: TypeAlias = tuple[Array, Array]
"""Hidden state and cell state, [B, H] each."""


class LSTM(nn.Module):
    """LSTM over a sequence with time on axis 0, which carries its state over padding.

    ``i, f, g, o = x W + h U + b``; ``c = sigmoid(f) c + sigmoid(i) tanh(g)``; ``h = sigmoid(o) tanh(c)``.

    Example::

      >>> sequence, present = jnp.ones((5, 2, 4)), jnp.ones((5, 2), bool)
      >>> (outputs, final), _ = LSTM(width=3).init_with_output(jax.random.key(0), sequence, present)
      >>> outputs.shape, final.shape
      ((5, 2, 3), (2, 3))

    Reference: Hochreiter and Schmidhuber 1997; the bias of the forget gate starts at 1, as in Keras.

    Attributes:
      width: Width of the state.
      reverse: True to run from the last position to the first.
      dtype: Dtype of the computation; None promotes parameters and input to a common one.
      param_dtype: Dtype of the parameters.
      kernel_init: Initialiser of ``W``.
      recurrent_init: Initialiser of ``U``.
    """

    width: int
    reverse: bool = False
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.glorot_uniform()
    recurrent_init: Initializer = nn.initializers.orthogonal()

    @nn.compact
    def __call__(
        self, sequence: Float[Array, "token batch features"], present: Bool[ArrayLike, "token batch"]
    ) -> tuple[Float[Array, "token batch width"], Float[Array, "batch width"]]:
        """Returns the state at every position and the final state."""
        gates = 4 * self.width
        kernel = self.param("kernel", self.kernel_init, (sequence.shape[-1], gates), self.param_dtype)
        recurrent = self.param(
            "recurrent_kernel", self._draw_recurrent, (self.width, gates), self.param_dtype
        )
        bias = self.param("bias", _forget_bias, (gates,), self.param_dtype)
        sequence, kernel, recurrent, bias = nn.dtypes.promote_dtype(
            sequence, kernel, recurrent, bias, dtype=self.dtype
        )
        return recur(sequence, present, Weights(kernel, recurrent, bias), self.reverse)

    def _draw_recurrent(self, key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        # Orthogonal matrices need a factorisation that is not available in half precision.
        return self.recurrent_init(key, shape, jnp.promote_types(dtype, jnp.float32)).astype(dtype)


def _forget_bias(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    del key  # nothing is drawn
    quarter = shape[0] // 4
    return jnp.zeros(shape, dtype).at[quarter : 2 * quarter].set(1)


class Weights(NamedTuple):
    """Weights of an LSTM; the gates i, f, g, o are side by side.

    Attributes:
      kernel: Input kernel [D, 4H].
      recurrent: Recurrent kernel [H, 4H].
      bias: Bias [4H].
    """

    kernel: Array
    recurrent: Array
    bias: Array


class History(NamedTuple):
    """Residuals of the forward pass for the gradient, in blocks of ``STEPS`` positions.

    Attributes:
      sequence: Inputs [blocks, STEPS, B, D].
      present: True for each token, False for padding, [blocks, STEPS, B, 1].
      states: Hidden states after every position, [blocks, STEPS, B, H].
      cells: Cell states after every position, [blocks, STEPS, B, H].
      first: Hidden state and cell state before each block, [blocks, B, H].
    """

    sequence: Array
    present: Array
    states: Array
    cells: Array
    first: State


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def recur(
    sequence: Float[Array, "token batch features"],
    present: Bool[ArrayLike, "token batch"],
    weights: Weights,
    reverse: bool,
) -> tuple[Float[Array, "token batch width"], Float[Array, "batch width"]]:
    """Runs an LSTM over a sequence and returns the state at every position and the final state.

    The gradient stores only states and cells, recomputes the gates, and computes the gradients of the weights
    in one product per block; differentiating a scan would store all gates and form many small products.

    >>> weights = Weights(jnp.ones((2, 4)), jnp.ones((1, 4)), jnp.zeros(4))
    >>> states, final = recur(jnp.ones((3, 1, 2)), jnp.array([[True], [True], [False]]), weights, False)
    >>> states[:, 0, 0].round(2), final[0, 0].round(2)
    (Array([0.61, 0.87, 0.87], dtype=float32), Array(0.87, dtype=float32))
    """
    return _recur_forward(sequence, present, weights, reverse)[0]


def _recur_forward(
    sequence: Array, present: ArrayLike, weights: Weights, reverse: bool
) -> tuple[tuple[Array, Array], tuple[History, Weights]]:
    length, batch, _ = sequence.shape
    width = weights.recurrent.shape[0]
    sequence, present = _blocks(sequence), _blocks(present[..., None])

    def block(first: State, inputs: tuple[Array, Array]) -> tuple[State, tuple[Array, Array, State]]:
        features, present = inputs

        def step(before: State, at: tuple[Array, Array]) -> tuple[State, State]:
            read, here = at
            i, f, g, o = _gates(read + before[0] @ weights.recurrent)
            cell = f * before[1] + i * g
            after = jnp.where(here, o * jnp.tanh(cell), before[0]), jnp.where(here, cell, before[1])
            return after, after

        read = features @ weights.kernel + jnp.broadcast_to(weights.bias, (STEPS, batch, 4 * width))
        last, (states, cells) = jax.lax.scan(step, first, (read, present), reverse=reverse)
        return last, (states, cells, first)

    zeros = jnp.zeros((batch, width), sequence.dtype)
    last, kept = jax.lax.scan(block, (zeros, zeros), (sequence, present), reverse=reverse)
    states = _joined(kept[0])[:length]
    return (states, last[0]), (History(sequence, present, *kept), weights)


def _recur_backward(
    reverse: bool, kept: tuple[History, Weights], gradients: tuple[Array, Array]
) -> tuple[Array, None, Weights]:
    history, weights = kept
    of_states, of_final = gradients

    def block(
        carry: tuple[State, Weights], inputs: tuple[History, Array]
    ) -> tuple[tuple[State, Weights], Array]:
        last, total = carry
        history, of_states = inputs
        state, cell = history.first
        before = (_before(state, history.states, reverse), _before(cell, history.cells, reverse))
        slopes = _slopes(history, before, weights)

        def step(after: State, at: tuple[Slopes, Array]) -> tuple[State, Array]:
            slopes, of_state = at
            state = after[0] + of_state
            cell = after[1] + state * slopes.cell
            of_gates = slopes.gates * jnp.concatenate([cell, cell, cell, state], axis=-1)
            return (state * slopes.kept + of_gates @ weights.recurrent.T, cell * slopes.forget), of_gates

        first, of_gates = jax.lax.scan(step, last, (slopes, of_states), reverse=not reverse)
        rows = _rows(of_gates)
        of_weights = Weights(
            _rows(history.sequence).T @ rows,
            _rows(before[0]).T @ rows,
            # A sum as a product is faster than a reduction.
            (jnp.ones((1, len(rows)), rows.dtype) @ rows)[0],
        )
        total = jax.tree.map(lambda sum, part: sum + part.astype(sum.dtype), total, of_weights)
        return (first, total), (rows @ weights.kernel.T).reshape(history.sequence.shape)

    zeros = Weights(*(jnp.zeros(leaf.shape, jnp.promote_types(leaf.dtype, jnp.float32)) for leaf in weights))
    carry = ((of_final, jnp.zeros_like(of_final)), zeros)
    inputs = (history, _blocks(of_states))
    (_, of_weights), of_sequence = jax.lax.scan(block, carry, inputs, reverse=not reverse)
    of_weights = jax.tree.map(lambda total, leaf: total.astype(leaf.dtype), of_weights, weights)
    return _joined(of_sequence)[: len(of_states)], None, of_weights


recur.defvjp(_recur_forward, _recur_backward)


class Slopes(NamedTuple):
    """Factors of the backward recurrence, all of which are known in advance.

    Attributes:
      gates: Factors from the gradient of the cell (i, f, g) or the state (o) to that of the gates' inputs.
      cell: Factor from the gradient of the state to that of the cell.
      forget: Factor from the gradient of a cell to that of the previous cell.
      kept: 1 at padding, where the state is kept.
    """

    gates: Array
    cell: Array
    forget: Array
    kept: Array


def _slopes(history: History, before: State, weights: Weights) -> Slopes:
    """Computes the factors of a block from state and cell before each of its positions."""
    state, cell = before
    read = history.sequence @ weights.kernel + state @ weights.recurrent
    i, f, g, o = _gates(read + jnp.broadcast_to(weights.bias, read.shape))
    squashed = jnp.tanh(f * cell + i * g)
    gates = jnp.concatenate(
        [g * i * (1 - i), cell * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)], axis=-1
    )
    here = history.present
    return Slopes(
        jnp.where(here, gates, 0),
        jnp.where(here, o * (1 - squashed * squashed), 0),
        jnp.where(here, f, 1),
        jnp.where(here, jnp.zeros_like(f), 1),
    )


def _gates(inputs: Array) -> list[Array]:
    """Applies the nonlinearities of the gates i, f, g, o: tanh for g, sigmoid for the others.

    As ``sigmoid(x) = (1 + tanh(x / 2)) / 2``, a single tanh serves all of them.
    """
    scale = jnp.repeat(jnp.array([0.5, 0.5, 1, 0.5], inputs.dtype), inputs.shape[-1] // 4)
    squashed = jnp.tanh(inputs * jnp.broadcast_to(scale, inputs.shape))
    i, f, g, o = jnp.split(squashed, 4, axis=-1)
    return [0.5 + 0.5 * i, 0.5 + 0.5 * f, g, 0.5 + 0.5 * o]


def _blocks(sequence: ArrayLike) -> Array:
    """Reshapes [T, ...] to [blocks, STEPS, ...], padded with zeros at the end."""
    length = sequence.shape[0]
    filled = jnp.pad(sequence, ((0, -length % STEPS), *((0, 0),) * (sequence.ndim - 1)))
    return filled.reshape(len(filled) // STEPS, STEPS, *sequence.shape[1:])


def _joined(blocks: Array) -> Array:
    """Reshapes [blocks, STEPS, ...] to [blocks * STEPS, ...]."""
    return blocks.reshape(len(blocks) * STEPS, *blocks.shape[2:])


def _before(first: Array, after: Array, reverse: bool) -> Array:
    """Returns the values before every position of a block, given those after it and the first one."""
    if reverse:
        return jnp.concatenate([after[1:], first[None]])
    return jnp.concatenate([first[None], after[:-1]])


def _rows(block: Array) -> Array:
    return block.reshape(math.prod(block.shape[:-1]), block.shape[-1])
