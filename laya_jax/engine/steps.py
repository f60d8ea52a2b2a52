"""Functions to compile: a chunk of training steps, and the outputs for a chunk of batches.

Both run a chunk of batches in one loop on the device, without returning to Python. The number of batches is a
dynamic loop bound rather than a shape, so that one compilation serves full chunks and a shorter last one.
"""

from collections.abc import Callable
from functools import partial
from typing import Generic, NamedTuple, TypeAlias, TypeVar, cast

import jax
import jax.numpy as jnp
import optax

from laya_jax.attribution import deletion_flips
from laya_jax.classifier import Classifier
from laya_jax.data import Examples, Preprocessing
from laya_jax.engine.config import LossConfig
from laya_jax.engine.state import TrainState
from laya_jax.heads import HeadOutput
from laya_jax.typing import Array, Parameters, PyTree

A = TypeVar("A")


class Batch(NamedTuple, Generic[A]):
    """Examples of one step.

    Attributes:
      inputs: Stored inputs, [B, ...].
      labels: Labels, [B].
      weights: 1 for an example, 0 for padding in the last batch of an epoch, [B].
    """

    inputs: A
    labels: A
    weights: A


class StepMetrics(NamedTuple, Generic[A]):
    """Metrics of a step, computed before its update.

    Attributes:
      loss: Mean loss over the examples.
      correct: Number of correctly classified examples.
      examples: Number of examples.
    """

    loss: A
    correct: A
    examples: A


class Outputs(NamedTuple, Generic[A]):
    """Outputs of a classifier for evaluation, as arrays of JAX on the devices or of NumPy on the host.

    Attributes:
      logits: Logits [B, K], float32.
      attention: Attention [B, L], float32; None for a head without attention.
      flips: True where the prediction changes without one layer, in order of attention, [B, L]; None unless
        requested, or for a head without attention.
    """

    logits: A
    attention: A | None = None
    flips: A | None = None


Data: TypeAlias = Examples | None
"""Examples resident on the device, or None if the batches contain the examples themselves."""

Batches: TypeAlias = PyTree
"""Indices into the data with -1 as padding, [steps, B]; or a ``Batch`` of [steps, B, ...]."""

TrainChunk: TypeAlias = Callable[
    [TrainState, Data, Batches, Array | int], tuple[TrainState, StepMetrics[Array]]
]
OutputChunk: TypeAlias = Callable[[Parameters, Data, Batches, Array | int], PyTree]

Reader: TypeAlias = Callable[[Parameters, Array], PyTree]
"""Function from parameters and model inputs [B, ...] to arrays [B, ...]."""


def make_train_chunk(
    classifier: Classifier,
    preprocessing: Preprocessing,
    optimizer: optax.GradientTransformation,
    loss_config: LossConfig,
    *,
    axis_name: str | None = None,
    seeds: bool = False,
    microbatches: int = 1,
) -> TrainChunk:
    """Returns the function that takes ``count`` steps: (state, data, batches, count) -> (state, metrics).

    Args:
      classifier: Classifier to train.
      preprocessing: Preprocessing from stored inputs to model inputs.
      optimizer: Optax optimizer.
      loss_config: Regularisation of the cross-entropy.
      axis_name: Name of the device axis under pmap; None if the compiler shards the batch.
      seeds: True if states and batches contain several seeds side by side: on axis 0 of the state's leaves,
        and in batches [steps, S, B].
      microbatches: Number of microbatches for gradient accumulation.

    Returns:
      Function to compile. Its metrics are [steps] or [steps, S], of which only the first ``count`` are set.
    """
    step = _make_step(classifier, preprocessing, optimizer, loss_config, axis_name, microbatches)
    one_step = jax.vmap(step, in_axes=(0, None, 0)) if seeds else step

    def train_chunk(
        state: TrainState, data: Data, batches: Batches, count: Array | int
    ) -> tuple[TrainState, StepMetrics[Array]]:
        def body(
            i: Array, carry: tuple[TrainState, StepMetrics[Array]]
        ) -> tuple[TrainState, StepMetrics[Array]]:
            state, collected = carry
            state, metrics = one_step(state, data, _at(batches, i))
            return state, _put(collected, i, metrics)

        shape = state.step.shape
        metrics = StepMetrics(*(jnp.zeros((_steps(batches), *shape)) for _ in StepMetrics._fields))
        return jax.lax.fori_loop(0, count, body, (state, metrics))

    return train_chunk


def _make_step(
    classifier: Classifier,
    preprocessing: Preprocessing,
    optimizer: optax.GradientTransformation,
    loss_config: LossConfig,
    axis_name: str | None,
    microbatches: int,
) -> Callable[[TrainState, Data, Batches], tuple[TrainState, StepMetrics[Array]]]:
    """Returns the function of one step: (state, data, batch) -> (state, metrics)."""
    total = _sum_over(axis_name)

    def loss(
        parameters: Parameters, batch: Batch[Array], key: Array | None, weight: Array
    ) -> tuple[Array, Array]:
        dropout = None if key is None else {"dropout": key}
        inputs = preprocessing(batch.inputs)
        output = cast(
            HeadOutput,
            classifier.apply({"params": parameters}, inputs, deterministic=key is None, rngs=dropout),
        )
        losses = example_losses(output, batch.labels, loss_config)
        right = jnp.argmax(output.logits, axis=-1) == batch.labels
        return jnp.sum(batch.weights * losses) / weight, jnp.sum(batch.weights * right)

    def gradient(
        parameters: Parameters, data: Data, batch: Batches, key: Array | None, weight: Array
    ) -> PyTree:
        return jax.value_and_grad(loss, has_aux=True)(parameters, take(data, batch), key, weight)

    def step(state: TrainState, data: Data, batch: Batches) -> tuple[TrainState, StepMetrics[Array]]:
        weight = total(jnp.sum(take(data, batch).weights))
        form, key = partial(gradient, state.parameters, data, weight=weight), state.key()
        if key is not None and axis_name is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
        whole = microbatches == 1
        formed = form(batch, key) if whole else _sum_over_parts(form, batch, key, microbatches)
        (value, correct), gradients = formed
        updates, optimizer_state = optimizer.update(total(gradients), state.optimizer_state, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        metrics = StepMetrics(total(value), total(correct), weight)
        return TrainState(state.step + 1, parameters, optimizer_state, state.seed), metrics

    return step


def output_reader(classifier: Classifier, *, explain: bool = False) -> Reader:
    """Returns a reader of a classifier's ``Outputs``, including ``flips`` if ``explain`` is set."""
    head = classifier.head

    def read(parameters: Parameters, inputs: Array) -> Outputs[Array]:
        hidden_states = classifier.apply({"params": parameters}, inputs, method="hidden_states")

        def predict(mask: Array | None = None) -> HeadOutput:
            return cast(HeadOutput, head.apply({"params": parameters["head"]}, hidden_states, mask))

        output = predict()
        logits = output.logits.astype(jnp.float32)
        if not head.weighs_layers or output.attention is None:
            return Outputs(logits)
        attention = output.attention.astype(jnp.float32)
        if not explain:
            return Outputs(logits, attention)
        return Outputs(logits, attention, deletion_flips(lambda mask: predict(mask).logits, attention))

    return read


def make_output_chunk(
    read: Reader, preprocessing: Preprocessing, *, axis_name: str | None = None, seeds: bool = False
) -> OutputChunk:
    """Returns the function that reads ``count`` batches: (parameters, data, batches, count) -> outputs.

    Args:
      read: Function to apply to each batch.
      preprocessing: Preprocessing from stored inputs to model inputs.
      axis_name: Name of the device axis under pmap; None if the compiler shards the batch.
      seeds: True if the parameters contain several seeds side by side, which all read the same batches.

    Returns:
      Function to compile. Its outputs are [steps, B, ...] or [steps, S, B, ...].
    """

    def outputs(parameters: Parameters, data: Data, batch: Batches) -> PyTree:
        return read(parameters, preprocessing(take(data, batch).inputs))

    all_outputs = jax.vmap(outputs, in_axes=(0, None, None)) if seeds else outputs

    def output_chunk(parameters: Parameters, data: Data, batches: Batches, count: Array | int) -> PyTree:
        def body(i: Array, collected: PyTree) -> PyTree:
            return _put(collected, i, all_outputs(parameters, data, _at(batches, i)))

        shapes = jax.eval_shape(all_outputs, parameters, data, _at(batches, 0))
        empty = jax.tree.map(lambda of: jnp.zeros((_steps(batches), *of.shape), of.dtype), shapes)
        collected = jax.lax.fori_loop(0, count, body, empty)
        if axis_name is None:
            return collected
        gather = partial(jax.lax.all_gather, axis_name=axis_name, axis=2 if seeds else 1, tiled=True)
        return jax.tree.map(gather, collected)

    return output_chunk


def take(data: Data, batch: Batches) -> Batch[Array]:
    """Gathers the examples at a batch's indices [B], with weight 0 for -1; a ``Batch`` is returned as is.

    >>> data = Examples(jnp.array([[1.0], [2.0]]), jnp.array([5, 7]))
    >>> take(data, jnp.array([1, -1])).weights
    Array([1., 0.], dtype=float32)
    """
    if data is None:
        return batch
    rows = jnp.maximum(batch, 0)
    return Batch(data.inputs[rows], data.labels[rows], (batch >= 0).astype(jnp.float32))


def example_losses(output: HeadOutput, labels: Array, config: LossConfig) -> Array:
    """Computes the loss of each example, [B]: cross-entropy minus weighted entropy of attention.

    >>> output = HeadOutput(jnp.zeros((1, 2)), jnp.array([[0.5, 0.5]]), None, jnp.zeros((1, 3)))
    >>> example_losses(output, jnp.array([0]), LossConfig(attention_entropy=1.0))
    Array([0.], dtype=float32)
    """
    logits = output.logits.astype(jnp.float32)
    if config.label_smoothing:
        targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), config.label_smoothing)
        losses = optax.softmax_cross_entropy(logits, targets)
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    if config.attention_entropy:
        # The logarithm must not see 0, where its infinite derivative would turn every gradient into NaN.
        attention = jnp.asarray(output.attention)
        seen = jnp.where(attention > 0, attention, 1.0)
        losses += config.attention_entropy * jnp.sum(seen * jnp.log(seen), axis=-1)
    return losses


def _sum_over(axis_name: str | None) -> Callable[[PyTree], PyTree]:
    return (lambda tree: tree) if axis_name is None else partial(jax.lax.psum, axis_name=axis_name)


def _sum_over_parts(
    form: Callable[[Batches, Array | None], PyTree], batch: Batches, key: Array | None, number: int
) -> PyTree:
    """Sums the results for the parts of a batch, computed sequentially."""

    def add(total: PyTree, part: PyTree) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, form(*part)), None

    keys = None if key is None else jax.random.split(key, number)
    parts = jax.tree.map(lambda leaf: _divide(leaf, number), batch), keys
    shapes = jax.eval_shape(form, *_at(parts, 0))
    return jax.lax.scan(add, jax.tree.map(lambda of: jnp.zeros(of.shape, of.dtype), shapes), parts)[0]


def _divide(leaf: Array, parts: int) -> Array:
    """Divides a batch into [parts, B / parts, ...], each with an equal share of every device."""
    return jnp.swapaxes(leaf.reshape(-1, parts, *leaf.shape[1:]), 0, 1)


def _at(tree: PyTree, i: Array | int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[i], tree)


def _put(collected: PyTree, i: Array, values: PyTree) -> PyTree:
    return jax.tree.map(lambda into, value: into.at[i].set(value), collected, values)


def _steps(batches: Batches) -> int:
    return jax.tree.leaves(batches)[0].shape[0]
