"""Training state and optimizer."""

import zlib

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from laya_jax.engine.config import Config, OptimizerConfig
from laya_jax.engine.heads import HEADS
from laya_jax.typing import Array, Parameters


@flax.struct.dataclass
class TrainState:
    """Parameters and optimizer state after a number of steps.

    Attributes:
      step: Number of steps taken, an int32 scalar.
      parameters: Parameters of the classifier.
      optimizer_state: State of the Optax optimizer.
      seed: Random seed of dropout; None without dropout.
    """

    step: Array
    parameters: Parameters
    optimizer_state: optax.OptState
    seed: Array | None = None

    def key(self) -> Array | None:
        """Derives the random key of the next step; None without dropout."""
        return None if self.seed is None else jax.random.fold_in(jax.random.key(self.seed), self.step)


def checksum(tree: object) -> int:
    """Computes the CRC-32 of all leaves of a pytree, in order.

    >>> checksum({"a": np.zeros(3)}) == checksum({"a": np.zeros(4)})
    False
    """
    value = 0
    for leaf in jax.tree.leaves(tree):
        value = zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data, value)
    return value


def initial_state(
    parameters: Parameters, optimizer: optax.GradientTransformation, seed: Array | None = None
) -> TrainState:
    """Creates the initial training state.

    Args:
      parameters: Parameters of the classifier.
      optimizer: Optax optimizer.
      seed: Random seed of dropout; None without dropout.

    >>> initial_state({"bias": jnp.ones(2)}, make_adam(OptimizerConfig(), total_steps=10)).step
    Array(0, dtype=int32)
    """
    return TrainState(jnp.zeros((), jnp.int32), parameters, optimizer.init(parameters), seed)


def make_optimizer(config: Config, total_steps: int) -> optax.GradientTransformation:
    """Creates the optimizer of a config's head, which has no state if the head is solved in closed form.

    >>> _ = make_optimizer(Config(optimizer=OptimizerConfig(schedule="cosine")), total_steps=100)
    """
    solved = HEADS[config.head.kind].is_solved
    return optax.set_to_zero() if solved else make_adam(config.optimizer, total_steps)


def make_adam(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """Creates the configured Adam optimizer, whose schedule ends at ``total_steps``.

    >>> config = OptimizerConfig(schedule="cosine", clip_norm=1.0)
    >>> _ = make_adam(config, total_steps=100)
    """
    learning_rate = make_schedule(config, total_steps)
    if config.weight_decay:
        adam = optax.adamw(
            learning_rate, eps=config.epsilon, weight_decay=config.weight_decay, mask=_is_matrix
        )
    else:
        adam = optax.adam(learning_rate, eps=config.epsilon)
    if config.clip_norm is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam)


def make_schedule(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """Creates the learning rate schedule: linear warm-up, then constant or decaying to 0.

    >>> schedule = make_schedule(OptimizerConfig(learning_rate=1.0, schedule="linear", warmup_steps=2), 6)
    >>> [float(schedule(step)) for step in (0, 1, 2, 4, 6)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    steps = max(total_steps - config.warmup_steps, 1)
    main: optax.Schedule
    if config.schedule == "cosine":
        main = optax.cosine_decay_schedule(config.learning_rate, steps)
    elif config.schedule == "linear":
        main = optax.linear_schedule(config.learning_rate, 0.0, steps)
    else:
        main = optax.constant_schedule(config.learning_rate)
    if not config.warmup_steps:
        return main
    warmup = optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)
    return optax.join_schedules([warmup, main], [config.warmup_steps])


def _is_matrix(parameters: Parameters) -> Parameters:
    """Marks kernels and embeddings True; biases and scales, which are exempt from weight decay, False."""
    return jax.tree.map(lambda parameter: parameter.ndim > 1, parameters)
