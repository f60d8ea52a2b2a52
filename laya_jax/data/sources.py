"""Loading of data from all sources, dispatched by kind."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig, kind_of, path_of
from laya_jax.data.dataset import Dataset, Schema, Unlabelled
from laya_jax.data.digits import load_digits
from laya_jax.data.encoder import TextEncoder
from laya_jax.data.image_files import decoded
from laya_jax.data.images import load_images, read_unlabelled_images
from laya_jax.data.npz import load_npz, read_unlabelled_npz
from laya_jax.data.prepared import load_prepared
from laya_jax.data.texts import load_texts, read_unlabelled_texts

LOADERS = {"digits": load_digits, "npz": load_npz, "images": load_images}
READERS = {"tfds": load_prepared, "texts": load_texts}
"""Loaders by kind of source: sources without texts in ``LOADERS``, and others in ``READERS``."""


def load(config: DataConfig, encoder: TextEncoder | None = None, *, decode: bool = True) -> Dataset:
    """Loads a data set with training, validation and test splits.

    Args:
      config: Configuration of the data.
      encoder: Encoder of texts from a pretrained model; None builds a vocabulary from the training split.
      decode: True to decode images in files immediately, unless there are too many.

    Raises:
      FileNotFoundError: The data set does not exist.
      ValueError: The data set cannot be read, or cannot be used to train a classifier.

    >>> dataset = load(DataConfig(source="digits"))
    >>> dataset.train.inputs.shape, len(dataset.class_names)
    ((1455, 8, 8, 1), 10)
    """
    kind = kind_of(config.source)
    dataset = READERS[kind](config, encoder) if kind in READERS else LOADERS[kind](config)
    if config.label_noise:
        labels = shuffle_some(dataset.train.labels, config.label_noise, config.split_seed)
        dataset = dataclasses.replace(dataset, train=dataset.train._replace(labels=labels))
    return dataset.with_inputs(decoded) if decode else dataset


def shuffle_some(labels: NDArray, share: float, seed: int) -> NDArray:
    """Permutes a fraction of the labels at random; some of these stay correct by chance.

    >>> sorted(shuffle_some(np.arange(4), share=0.5, seed=0).tolist())
    [0, 1, 2, 3]
    """
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.copy()
    noisy[chosen] = labels[generator.permutation(chosen)]
    return noisy


def read_inputs(source: str, schema: Schema, config: DataConfig, *, labelled: bool = False) -> Unlabelled:
    """Reads examples to predict in the same way as a model's training data.

    Args:
      source: Data source as in the config; for a named data set or a folder with splits, the test split is
        read.
      schema: Schema of the model's training data.
      config: Configuration of the model's training data.
      labelled: True if images or texts must have labels, for evaluation.

    Raises:
      FileNotFoundError: The examples do not exist.
      ValueError: The examples cannot be read, or the model does not accept them.
    """
    kind, class_names, preprocessing = kind_of(source), schema.class_names, schema.preprocessing
    needs_tokens = preprocessing.kind == "tokens"
    if (kind == "texts") != needs_tokens and kind in ("npz", "images", "texts"):
        raise ValueError(
            f"data is {source!r}, but the model reads {'texts' if needs_tokens else 'images or features'}"
        )
    if kind == "texts":
        found = read_unlabelled_texts(
            path_of(source), class_names, schema.text_encoder(), config, labelled=labelled
        )
    elif kind == "images":
        if len(preprocessing.shape) != 3:
            raise ValueError(f"data is {source!r}, but the model reads inputs of shape {preprocessing.shape}")
        found = read_unlabelled_images(
            path_of(source), preprocessing.shape, class_names, config, labelled=labelled
        )
    elif kind == "npz":
        found = read_unlabelled_npz(path_of(source), class_names)
    elif source != config.source:
        raise ValueError(f"data is {source!r}, but the model was trained on {config.source!r}")
    else:
        test = load(config, schema.encoder, decode=False).test
        found = Unlabelled(test.inputs, tuple(map(str, range(len(test.labels)))), test.labels, "test split")
    if tuple(found.inputs.shape[1:]) != preprocessing.shape:
        raise ValueError(
            f"data is {source!r} with inputs of shape {tuple(found.inputs.shape[1:])}, "
            f"but the model reads {preprocessing.shape}"
        )
    if kind in ("npz", "images") and schema.dtype not in (None, str(found.inputs.dtype)):
        raise ValueError(
            f"data is {source!r} with inputs of dtype {found.inputs.dtype}, but the model reads "
            f"{schema.dtype}, which has a different scale"
        )
    return found
