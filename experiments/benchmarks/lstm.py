"""Time of the BiLSTM's LSTM against ``flax.linen.RNN``: 128 texts, 256 tokens, input width 128, width 64.

    python -m experiments.benchmarks.lstm

Takes about a minute on two cores.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiments.benchmarks.timing import compare, report
from laya_jax.backbones import LSTM


def main() -> None:
    """Times both implementations and writes the results."""
    sequence = jax.random.normal(jax.random.key(0), (256, 128, 128))
    lengths = jax.random.randint(jax.random.key(1), (128,), 1, 257)
    present = jnp.arange(256)[:, None] < lengths[None]
    ours, flax = LSTM(64), nn.RNN(nn.OptimizedLSTMCell(64), time_major=True, return_carry=True)
    finals = {
        "laya_jax": lambda v: ours.apply(v, sequence, present)[1],
        "flax.linen.RNN": lambda v: flax.apply(v, sequence, seq_lengths=lengths)[0][1],
    }
    variables = {
        "laya_jax": ours.init(jax.random.key(2), sequence, present),
        "flax.linen.RNN": flax.init(jax.random.key(2), sequence),
    }
    forward = {name: partial(jax.jit(final), variables[name]) for name, final in finals.items()}
    backward = {
        name: partial(jax.jit(jax.grad(lambda v, final=final: jnp.sum(final(v) ** 2))), variables[name])
        for name, final in finals.items()
    }
    report("lstm", {"forward": compare(forward, 15), "gradient": compare(backward, 15)})


if __name__ == "__main__":
    main()
