"""Time of heads: the gradient of the paper's MLP with each head, and of LAYA on a stacked input.

    python -m experiments.benchmarks.heads

Takes about a minute on two cores.
"""

from functools import partial

import jax
import jax.numpy as jnp

from experiments.benchmarks.timing import compare, report
from laya_jax import Classifier, ConcatHead, LastLayerHead, LayaHead, ScalarMixHead
from laya_jax.backbones import MLP
from laya_jax.heads import Head

HEADS = {
    "last layer": LastLayerHead(num_classes=10),
    "LAYA": LayaHead(num_classes=10, dim=96, temperature=1.5, scorer_width=192),
    "scalar mix": ScalarMixHead(num_classes=10, dim=96),
    "concat": ConcatHead(num_classes=10, dim=96),
}


def gradient(model: Classifier | Head, inputs: jax.Array | tuple[jax.Array, ...]) -> partial[jax.Array]:
    """Compiles the gradient of the cross-entropy and binds its arguments."""

    def loss(variables: dict, inputs: jax.Array) -> jax.Array:
        return -jnp.mean(jax.nn.log_softmax(model.apply(variables, inputs).logits)[:, 0])

    return partial(jax.jit(jax.grad(loss)), model.init(jax.random.key(0), inputs), inputs)


def main() -> None:
    """Times all alternatives and writes the results."""
    images = jax.random.normal(jax.random.key(0), (128, 784))
    steps = {name: gradient(Classifier(backbone=MLP(), head=head), images) for name, head in HEADS.items()}
    stacked = jax.random.normal(jax.random.key(1), (12, 128, 384))
    inputs = {
        "sequence of 12": gradient(HEADS["LAYA"], tuple(stacked)),
        "one stacked array": gradient(HEADS["LAYA"], stacked),
    }
    report(
        "heads",
        {
            "gradient of the paper's MLP, batch 128": compare(steps, 100),
            "gradient of LAYA alone on 12 layers of 384": compare(inputs, 100),
        },
    )


if __name__ == "__main__":
    main()
