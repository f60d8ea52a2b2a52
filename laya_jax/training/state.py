"""What changes from step to step, and the optimizer that changes it."""

import flax.struct
import jax
import jax.numpy as jnp
import optax

from laya_jax.training.config import OptimizerConfig
from laya_jax.typing import Array, Parameters


@flax.struct.dataclass
class TrainState:
    """Parameters and the optimizer's state after a number of steps.

    Attributes:
      step: steps done, a scalar of int32.
      parameters: of the classifier.
      optimizer_state: of optax.
      seed: of what training leaves out at random; None if it leaves out nothing.
    """

    step: Array
    parameters: Parameters
    optimizer_state: optax.OptState
    seed: Array | None = None

    def key(self) -> Array | None:
        """The random key of the next step; None if nothing is random."""
        return None if self.seed is None else jax.random.fold_in(jax.random.key(self.seed), self.step)


def initial_state(
    parameters: Parameters, optimizer: optax.GradientTransformation, seed: Array | None = None
) -> TrainState:
    """The state before the first step.

    Args:
      parameters: of the classifier.
      optimizer: of optax.
      seed: of what training leaves out at random; None if it leaves out nothing.

    >>> initial_state({"bias": jnp.ones(2)}, make_optimizer(OptimizerConfig(), total_steps=10)).step
    Array(0, dtype=int32)
    """
    return TrainState(jnp.zeros((), jnp.int32), parameters, optimizer.init(parameters), seed)


def make_optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """Adam as configured; ``total_steps`` is where the learning rate's decay ends.

    >>> config = OptimizerConfig(schedule="cosine", clip_norm=1.0)
    >>> _ = make_optimizer(config, total_steps=100)
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
    """The learning rate by step: a linear rise over the warm-up, then constant or decaying to 0.

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
    """True for kernels and embeddings, False for biases and scales, which weight decay leaves alone."""
    return jax.tree.map(lambda parameter: parameter.ndim > 1, parameters)
