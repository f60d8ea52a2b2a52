"""LAYA beside the usual output layer on scikit-learn's 1,797 handwritten digits, which need no download.

    python -m experiments.digits

Trains both heads on the same backbone with three seeds (under half a minute on two cores), and prints
their accuracy, the depth profile of LAYA, and how far the profile can be believed.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from laya_jax import Classifier, HeadOutput, LastLayerHead, LayaHead
from laya_jax.backbones import MLP
from laya_jax.heads import Head
from laya_jax.typing import Array, Parameters

WIDTHS = (64, 48, 32)
SEEDS = (0, 1, 2)
BATCH_SIZE = 128
HEADS: dict[str, Head] = {
    "last layer": LastLayerHead(num_classes=10),
    "LAYA": LayaHead(num_classes=10, dim=32),
}


class Digits(NamedTuple):
    """Images [N, 64] in [0, 1] and labels [N]."""

    images: Array
    labels: Array


def load() -> tuple[Digits, Digits]:
    """Four fifths of the digits to train on, one fifth to test on; always the same split."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    data = Digits(jnp.asarray(images[order] / 16, jnp.float32), jnp.asarray(labels[order], jnp.int32))
    cut = len(labels) * 4 // 5
    return Digits(*(part[:cut] for part in data)), Digits(*(part[cut:] for part in data))


def train(head: Head, data: Digits, seed: int, steps: int) -> tuple[Classifier, Parameters]:
    """A trained classifier and its variables: Adam, cross-entropy, all steps in one compiled scan."""
    classifier = Classifier(backbone=MLP(widths=WIDTHS), head=head)
    key = jax.random.key(seed)
    variables = classifier.init(key, data.images[:1])
    optimizer = optax.adam(1e-3)

    def loss(variables: Parameters, batch: Array) -> Array:
        logits = classifier.apply(variables, data.images[batch]).logits
        return optax.softmax_cross_entropy_with_integer_labels(logits, data.labels[batch]).mean()

    def step(carry: tuple, number: Array) -> tuple[tuple, None]:
        variables, state = carry
        batch = jax.random.choice(jax.random.fold_in(key, number), len(data.labels), (BATCH_SIZE,), False)
        updates, state = optimizer.update(jax.grad(loss)(variables, batch), state)
        return (optax.apply_updates(variables, updates), state), None

    train_all = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(steps))[0])
    return classifier, train_all((variables, optimizer.init(variables)))[0]


def accuracy(output: HeadOutput, labels: Array) -> float:
    """Share of samples whose largest logit is that of their label."""
    return float(jnp.mean(jnp.argmax(output.logits, axis=1) == labels))


def flips(classifier: Classifier, variables: Parameters, images: Array) -> tuple[float, float]:
    """Share of predictions that change without the layer of most attention, and without another one.

    The second is the mean over the other layers: what a profile that says nothing would reach.
    """
    predict = jax.jit(
        lambda mask: jnp.argmax(classifier.apply(variables, images, layer_mask=mask).logits, axis=1)
    )
    everything = jnp.ones((len(images), len(WIDTHS)), bool)
    before = predict(everything)
    by_attention = jnp.argsort(-classifier.apply(variables, images).attention, axis=1)
    changed = []
    for rank in range(len(WIDTHS)):
        masked = everything.at[jnp.arange(len(images)), by_attention[:, rank]].set(False)
        changed.append(float(jnp.mean(predict(masked) != before)))
    return changed[0], float(np.mean(changed[1:]))


def main(steps: int = 400) -> None:
    """Trains, evaluates and prints."""
    data, test = load()
    print(f"{len(data.labels):,} digits to train on, {len(test.labels)} to test on; {jax.default_backend()}")
    runs = {name: [train(head, data, seed, steps) for seed in SEEDS] for name, head in HEADS.items()}
    outputs = {
        name: [classifier.apply(variables, test.images) for classifier, variables in of_seeds]
        for name, of_seeds in runs.items()
    }
    print("\nTest accuracy, mean ± standard deviation over seeds", *SEEDS)
    scores = {name: [accuracy(each, test.labels) for each in of_seeds] for name, of_seeds in outputs.items()}
    for name, of_seeds in scores.items():
        print(f"  {name:<12}{np.mean(of_seeds):.4f} ± {np.std(of_seeds, ddof=1):.4f}")
    difference = np.subtract(scores["LAYA"], scores["last layer"])
    print(f"  LAYA minus last layer, seed by seed: {', '.join(f'{each:+.4f}' for each in difference)}")

    print("\nLAYA's attention, mean over the test digits")
    for seed, output in zip(SEEDS, outputs["LAYA"], strict=True):
        profile = "   ".join(f"h{i} {share:.2f}" for i, share in enumerate(output.attention.mean(axis=0), 1))
        print(f"  seed {seed}  {profile}")

    print("\nHow far to believe it: predictions that change when a layer is masked")
    for seed, (classifier, variables) in zip(SEEDS, runs["LAYA"], strict=True):
        top, other = flips(classifier, variables, test.images)
        print(f"  seed {seed}  {top:.0%} without its layer of most attention, {other:.0%} without another")
    tops = np.stack([np.argmax(output.attention, axis=1) for output in outputs["LAYA"]])
    agreement = (tops == tops[0]).all(axis=0).mean()
    print(f"  All seeds give most attention to the same layer for {agreement:.0%} of the digits.")


if __name__ == "__main__":
    main()
