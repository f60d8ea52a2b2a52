"""Data sets of tensorflow-datasets, read from its ArrayRecord files without TensorFlow."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, make_dataset
from laya_jax.data.encoder import TextEncoder
from laya_jax.data.texts import make_text_dataset
from laya_jax.data.words import without_breaks


def load_prepared(config: DataConfig, encoder: TextEncoder | None = None) -> Dataset:
    """Reads both splits.

    Args:
      config: which data set, and how.
      encoder: of texts, that of a pretrained model; None makes a vocabulary of the training split.

    Raises:
      FileNotFoundError: the data set is not prepared, and cannot be prepared here; says what to run.
    """
    builder = _builder(config)
    features = builder.info.features
    class_names = tuple(features["label"].names)
    (train, labels), (test, test_labels) = (_read(builder, split) for split in ("train", "test"))
    if "text" in features:
        texts, test_texts = ([without_breaks(text.decode()) for text in encoded] for encoded in (train, test))
        return make_text_dataset(
            texts, labels, (test_texts, test_labels), class_names, config, encoder, segmentation="letters"
        )
    shape = features["image"].shape
    preprocessing = Preprocessing("images", shape, scale=(255.0,))
    examples, test_examples = (
        Examples(_decode(images, shape), of) for images, of in ((train, labels), (test, test_labels))
    )
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


def _read(builder: Any, split: str) -> tuple[list[bytes], NDArray[np.int32]]:
    """Texts or encoded images of a split, and their labels."""
    import tensorflow_datasets as tfds

    name = "text" if "text" in builder.info.features else "image"
    # tensorflow-datasets would take twice as long to decode an image.
    decoders = {"image": tfds.decode.SkipDecoding()} if name == "image" else None
    source = builder.as_data_source(split=split, decoders=decoders)
    rows = source.__getitems__(range(len(source)))
    return [row[name] for row in rows], np.array([row["label"] for row in rows], np.int32)


def _decode(encoded: Sequence[bytes], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    from PIL import Image

    pixels = np.empty((len(encoded), *shape), np.uint8)
    for into, content in zip(pixels, encoded, strict=True):
        with Image.open(io.BytesIO(content)) as image:
            into[...] = np.asarray(image).reshape(shape)
    return pixels
