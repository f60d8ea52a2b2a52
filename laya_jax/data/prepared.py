"""Data sets of tensorflow-datasets, read from its ArrayRecord files without TensorFlow."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from laya_jax.data.config import DataConfig
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, make_dataset, scale_of
from laya_jax.data.texts import make_text_dataset

CHUNK = 1000
"""Examples that a thread reads at once."""


def load_prepared(config: DataConfig) -> Dataset:
    """Reads both splits.

    Raises:
      FileNotFoundError: the data set is not prepared, and cannot be prepared here; says what to run.
    """
    builder = _builder(config)
    class_names = tuple(builder.info.features["label"].names)
    if "text" in builder.info.features:
        train, test = ([*_read(builder, split)] for split in ("train", "test"))
        texts = [[row["text"].decode() for row in rows] for rows in (train, test)]
        labels = [_labels(rows) for rows in (train, test)]
        return make_text_dataset(texts[0], labels[0], (texts[1], labels[1]), class_names, config)
    examples, test_examples = (_images(_read(builder, split)) for split in ("train", "test"))
    preprocessing = Preprocessing("images", examples.inputs.shape[1:], scale=scale_of(examples.inputs))
    return make_dataset(examples, test_examples, class_names, preprocessing, config)


def _builder(config: DataConfig) -> Any:
    import tensorflow_datasets as tfds

    builder = tfds.builder(config.source, data_dir=config.directory, file_format="array_record")
    if not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:  # no network, no TensorFlow, no space: each raises something of its own
            where = f", data_dir={config.directory!r}" if config.directory else ""
            raise FileNotFoundError(
                f"data.source {config.source!r} is not prepared in {builder.data_dir}, and preparing it "
                f"failed ({type(error).__name__}); run, with a network: pip install tensorflow && python -c "
                f'"import tensorflow_datasets as tfds; tfds.builder({config.source!r}{where}, '
                "file_format='array_record').download_and_prepare()\""
            ) from error
    return builder


def _read(builder: Any, split: str) -> list[dict[str, Any]]:
    """All examples of a split; threads, since decoding images is the most of it."""
    source = builder.as_data_source(split=split)
    chunks = [range(start, min(start + CHUNK, len(source))) for start in range(0, len(source), CHUNK)]
    with ThreadPoolExecutor() as threads:
        parts: Sequence[Sequence[dict[str, Any]]] = list(threads.map(source.__getitems__, chunks))
    return [row for part in parts for row in part]


def _images(rows: Sequence[dict[str, Any]]) -> Examples:
    return Examples(np.stack([row["image"] for row in rows]), _labels(rows))


def _labels(rows: Sequence[dict[str, Any]]) -> Any:
    return np.array([row["label"] for row in rows], np.int32)
