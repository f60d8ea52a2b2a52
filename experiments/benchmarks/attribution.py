"""Time of attributions: 10,000 random images of Fashion-MNIST's size on the paper's MLP, untrained.

    python -m experiments.benchmarks.attribution

Takes two minutes on two cores.
"""

from functools import partial

import jax
import numpy as np

from experiments.benchmarks.timing import compare, report
from laya_jax.attribution import Explanation, layer_curves, leave_one_out, shapley_values
from laya_jax.data import Examples, Preprocessing, Schema
from laya_jax.engine import initial_parameters, make_classifier
from laya_jax.report import Explainer, attribute
from laya_jax.training import EXPERIMENTS, ParallelConfig, TrainedModel, predict

EXAMPLES, LAYERS, CLASSES = 10_000, 12, 10


def model() -> TrainedModel:
    """Creates LAYA on the paper's MLP, untrained."""
    config = EXPERIMENTS["fashion-mnist"]
    schema = Schema(
        tuple(map(str, range(CLASSES))), Preprocessing("images", (28, 28, 1), scale=(255.0,)), None
    )
    classifier = make_classifier(config, schema)
    parameters = initial_parameters(classifier, schema.preprocessing, 0)
    return TrainedModel(config, schema, classifier, jax.device_get(parameters))


def deep() -> Explanation:
    """Creates a random explanation over twelve layers."""
    generator = np.random.default_rng(0)
    scores, norms = generator.normal(size=(2, EXAMPLES, LAYERS))
    votes = generator.normal(size=(EXAMPLES, LAYERS, CLASSES))
    return Explanation(scores, votes, np.abs(norms), np.zeros(CLASSES))


def main() -> None:
    """Times all alternatives and writes the results."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (EXAMPLES, 28, 28, 1), np.uint8)
    examples = Examples(images, generator.integers(0, CLASSES, EXAMPLES).astype(np.int32))
    explainer, twelve = Explainer(model(), ParallelConfig()), deep()
    whole = {
        "one pass of the network": partial(explainer, examples),
        "everything that laya attribute measures": partial(attribute, explainer, examples),
        "laya predict, compiling": partial(predict, explainer.model, examples),
    }
    subsets = {
        "leaving each layer out": partial(leave_one_out, twelve),
        "exact Shapley values, 4,096 sets": partial(shapley_values, twelve),
        "curves with the best of 4,096 sets": partial(layer_curves, twelve),
    }
    report(
        "attribution",
        {
            "10,000 images, MLP 512-256-128, 3 layers": compare(whole, 5),
            "10,000 samples, 12 layers, 10 classes, from the explanation": compare(subsets, 5),
        },
    )


if __name__ == "__main__":
    main()
