"""Abstract training, with shapes in place of data and parameters, to lower or compile for other machines."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import export
from jax.typing import DTypeLike

from laya_jax.checks import check_choice
from laya_jax.data import Examples, Preprocessing, Schema, Vocabulary, held_out, steps_per_epoch
from laya_jax.engine import (
    CHUNK,
    HEADS,
    LARGEST_RESIDENT,
    Batch,
    Config,
    MeshParallel,
    TrainChunk,
    TrainState,
    initial_parameters,
    initial_state,
    make_classifier,
    make_optimizer,
    make_train_chunk,
)
from laya_jax.inputs import inputs_for, load_for, pretrained_of
from laya_jax.typing import PyTree

IMAGES = {"fashion_mnist": (60_000, (28, 28, 1), 10), "cifar10": (50_000, (32, 32, 3), 10)}
"""Number of training examples, image shape and number of classes of data sets that need not be present."""

TEXTS = {"imdb_reviews": (25_000, 2)}
"""Number of training examples and number of classes of text data sets, whose length is a setting."""


class AbstractTraining(NamedTuple):
    """Training function of a config and its arguments, with every array as its shape.

    Attributes:
      chunk: Function that takes several steps.
      state: Initial training state.
      examples: Training examples.
      batch_size: Number of examples per step.
    """

    chunk: TrainChunk
    state: TrainState
    examples: Examples
    batch_size: int

    def arguments(self, parallel: MeshParallel) -> tuple[PyTree, ...]:
        """Returns the arguments as placed by ``Engine`` and ``Feed``: (state, data, batches, count)."""
        state, examples = _placed((self.state, self.examples), parallel.replicated)
        count = jax.ShapeDtypeStruct((), jnp.int32, sharding=parallel.replicated)
        if examples.inputs.size * examples.inputs.dtype.itemsize > LARGEST_RESIDENT:
            return state, None, self.batches(CHUNK, parallel), count
        indices = jax.ShapeDtypeStruct((CHUNK, self.batch_size), jnp.int32, sharding=parallel.divided(1))
        return state, examples, indices, count

    def batches(self, steps: int, parallel: MeshParallel) -> Batch[jax.ShapeDtypeStruct]:
        """Returns batches that contain the examples themselves."""
        inputs, labels = (
            jax.ShapeDtypeStruct((steps, self.batch_size, *of.shape[1:]), of.dtype) for of in self.examples
        )
        weights = jax.ShapeDtypeStruct(labels.shape, jnp.float32)
        return _placed(Batch(inputs, labels, weights), parallel.divided(1))


def abstract_training(config: Config) -> AbstractTraining:
    """Builds the abstract training of a config. Named data sets need not be present; user data are read.

    >>> training = abstract_training(Config())
    >>> training.examples.inputs.shape, training.state.parameters["head"]["classifier"]["kernel"].shape
    ((1455, 64), (96, 10))

    Raises:
      ValueError: The batch is larger than the data set, or the backbone does not accept the data.
    """
    if HEADS[config.head.kind].is_solved:
        raise ValueError(
            f"head.kind is {config.head.kind!r}, which is solved in closed form, expected a head to train"
        )
    pretrained = pretrained_of(config)
    schema, examples = _data(config)
    number = examples.labels.size
    if config.batch_size > number:
        raise ValueError(
            f"batch_size is {config.batch_size}, expected at most {number}, the number of training examples"
        )
    inputs = inputs_for(config, schema, pretrained)
    if (read := inputs.read) is not schema:
        schema, examples = read, _flat_examples(number, read.preprocessing, jnp.float32)
    classifier = make_classifier(config, schema, inputs.backbone and inputs.backbone.backbone)
    optimizer = make_optimizer(config, config.epochs * steps_per_epoch(number, config.batch_size))
    chunk = make_train_chunk(classifier, schema.preprocessing, optimizer, config.loss)

    def state() -> TrainState:
        parameters = initial_parameters(classifier, schema.preprocessing, config.seed)
        seed = jnp.zeros((), jnp.uint32) if classifier.head.is_random else None
        return initial_state(parameters, optimizer, seed)

    return AbstractTraining(chunk, jax.eval_shape(state), examples, config.batch_size)


def lower(config: Config, platform: str = "cuda") -> export.Exported:
    """Lowers a config's training for one device of any platform, without compiling it.

    Args:
      config: Config of the training run.
      platform: Platform to lower for, which need not be present: cpu, cuda, rocm or tpu.

    Returns:
      The exported program; ``.mlir_module()`` returns it as text.

    >>> lower(Config()).platforms
    ('cuda',)
    """
    check_choice("platform", platform, ("cpu", "cuda", "rocm", "tpu"))
    training, parallel = abstract_training(config), MeshParallel(jax.devices()[:1])
    compiled = parallel.compile(training.chunk, donate=True)
    return export.export(compiled, platforms=(platform,))(*training.arguments(parallel))


def _data(config: Config) -> tuple[Schema, Examples]:
    """Returns the schema of a config's data, and the shapes of its training examples."""
    source, encoder = config.data.source, None
    if source in IMAGES:
        number, shape, classes = IMAGES[source]
        preprocessing, dtype = Preprocessing("images", shape), jnp.uint8
    elif source in TEXTS:
        number, classes = TEXTS[source]
        preprocessing, dtype = Preprocessing("tokens", (config.data.max_length,)), jnp.int32
        encoder = Vocabulary(("",) * (config.data.vocabulary_size - 2))
    else:
        dataset = load_for(config, decode=False)
        schema, dtype, number = Schema.of(dataset), dataset.train.inputs.dtype, len(dataset.train.labels)
        return schema, _flat_examples(number, schema.preprocessing, dtype)
    number -= held_out(number, config.data.validation_fraction)
    schema = Schema(("",) * classes, preprocessing, encoder)
    return schema, _flat_examples(number, preprocessing, dtype)


def _flat_examples(number: int, preprocessing: Preprocessing, dtype: DTypeLike) -> Examples:
    """Returns the shapes of examples as ``Feed`` stores them on a device."""
    inputs = jax.ShapeDtypeStruct((number, math.prod(preprocessing.shape)), dtype)
    return Examples(inputs, jax.ShapeDtypeStruct((number,), jnp.int32))


def _placed(tree: PyTree, sharding: jax.sharding.Sharding) -> PyTree:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)
