"""The paper's models in Keras on TensorFlow, as in the paper; started by ``training``."""

import sys
from functools import partial

import keras
import tensorflow as tf
from keras import layers

from experiments.benchmarks.problems import BATCH, PROBLEMS, VOCABULARY, Problem, Training, serve


def laya(hidden_states: list, problem: Problem) -> keras.KerasTensor:
    """Computes the logits of the LAYA head."""
    z = [layers.Dense(problem.head.dim)(state) for state in hidden_states]
    u = z
    if problem.head.psi == "mlp":
        psi = [layers.Dense(problem.head.dim, activation="gelu") for _ in range(2)]
        u = [psi[1](psi[0](state)) for state in z]
    scores = layers.Dense(problem.head.scorer_width, activation="gelu")(layers.Concatenate()(u))
    scores = layers.Dense(len(z))(scores)
    attention = layers.Softmax()(scores / problem.head.temperature)
    stacked = keras.ops.stack(z, axis=1)
    mixed = keras.ops.sum(attention[:, :, None] * stacked, axis=1)
    return layers.Dense(problem.classes)(mixed)


def normalized(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Applies layer normalisation and the exact GELU."""
    return layers.Activation("gelu")(layers.LayerNormalization()(inputs))


def mlp(inputs: keras.KerasTensor, problem: Problem) -> list:
    """Computes the hidden states of the MLP for Fashion-MNIST."""
    states = [layers.Rescaling(1 / 255)(layers.Flatten()(inputs))]
    for width in problem.backbone.widths:
        states.append(normalized(layers.Dense(width)(states[-1])))
    return states[1:]


def separable_cnn(inputs: keras.KerasTensor, problem: Problem) -> list:
    """Computes the hidden states of the separable CNN for CIFAR-10."""
    x, states = layers.Rescaling(1 / 255)(inputs), []
    for stage, width in enumerate(problem.backbone.widths):
        x = x if stage == 0 else layers.AveragePooling2D(2)(x)
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = normalized(layers.Conv2D(width, 1)(x))
        states.append(layers.GlobalAveragePooling2D()(x))
    return states


def bilstm(inputs: keras.KerasTensor, problem: Problem) -> list:
    """Computes the hidden states of the BiLSTM for IMDB."""
    x, states = layers.Embedding(VOCABULARY, problem.backbone.embedding_dim)(inputs), []
    for width in problem.backbone.widths:
        lstm = layers.LSTM(width, return_sequences=True, return_state=True)
        x, forward, _, backward, _ = layers.Bidirectional(lstm)(x)
        states.append(layers.Concatenate()([forward, backward]))
    return states


BACKBONES = {"mlp": mlp, "separable_cnn": separable_cnn, "bilstm": bilstm}


def classifier(problem: Problem) -> keras.Model:
    """Builds the whole model: backbone and LAYA head."""
    inputs = keras.Input(problem.shape, dtype=problem.inputs.dtype.name)
    return keras.Model(inputs, laya(BACKBONES[problem.name](inputs, problem), problem))


def fit(problem: Problem, jit_compile: bool) -> Training:
    """Sets up training by ``model.fit`` on an in-memory pipeline."""
    model = classifier(problem)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=jit_compile)
    order = problem.order.reshape(-1)
    data = tf.data.Dataset.from_tensor_slices((problem.inputs[order], problem.labels[order]))
    data = data.batch(BATCH, drop_remainder=True).cache().prefetch(tf.data.AUTOTUNE)
    return Training(lambda: model.fit(data, verbose=0) and None, model.count_params())


def compiled_loop(problem: Problem, jit_compile: bool) -> Training:
    """Sets up training by one ``tf.function`` for all steps, which also gathers the batches."""
    model, optimizer = classifier(problem), keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    inputs, labels, order = map(tf.constant, (problem.inputs, problem.labels, problem.order))

    @tf.function(jit_compile=jit_compile)
    def step(batch: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            value = loss(tf.gather(labels, batch), model(tf.gather(inputs, batch), training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    @tf.function
    def chunk() -> None:
        for i in tf.range(len(problem.order)):
            step(order[i])

    return Training(chunk, model.count_params())


if __name__ == "__main__":
    problem = PROBLEMS[sys.argv[1]]
    serve(
        {
            "fit": partial(fit, problem, False),
            "fit, jit_compile": partial(fit, problem, True),
            "loop": partial(compiled_loop, problem, False),
            "loop, jit_compile": partial(compiled_loop, problem, True),
        }
    )
