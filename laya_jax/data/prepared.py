"""Data sets of tensorflow-datasets, read from its ArrayRecord files without TensorFlow."""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.config import DataConfig
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, make_dataset
from laya_jax.data.encoder import TextEncoder
from laya_jax.data.originals import megabytes, original_files
from laya_jax.data.texts import make_text_dataset
from laya_jax.data.words import without_breaks

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder


def load_prepared(config: DataConfig, encoder: TextEncoder | None = None) -> Dataset:
    """Loads a prepared data set of tensorflow-datasets.

    Args:
      config: Name of the data set, and options for reading it.
      encoder: Encoder of texts from a pretrained model; None builds a vocabulary from the training split.

    Raises:
      FileNotFoundError: The data set has not been prepared; the message says what to run.
      ValueError: The files are damaged, or can be read only by TensorFlow.
    """
    builder = find_builder(config.source, config.directory)
    if not builder.is_prepared():
        where = f" --data.directory {config.directory}" if config.directory else ""
        raise FileNotFoundError(
            f"data.source is {config.source!r}, which is not in {builder.data_dir}; to download it "
            f"({megabytes(original_files(config.source)):,} MB), run: laya prepare {config.source}{where}"
        )
    with _readable(builder.data_dir, config.source):
        class_names = _class_names(builder)
        (train, labels), (test, test_labels) = (_read(builder, split) for split in ("train", "test"))
    if isinstance(train, list):
        return make_text_dataset(
            train, labels, (test, test_labels), class_names, config, encoder, segmentation="letters"
        )
    preprocessing = Preprocessing("images", train.shape[1:], scale=(255.0,))
    examples, test_examples = Examples(train, labels), Examples(test, test_labels)
    return make_dataset(examples, test_examples, class_names, preprocessing, config)


def find_builder(source: str, directory: str | Path | None = None) -> "DatasetBuilder":
    """Creates the builder of a data set of tensorflow-datasets, whether or not the data set is prepared.

    Args:
      source: Name of the data set.
      directory: Path of the directory of all data sets; None means ``$TFDS_DATA_DIR``, or else
        ``~/tensorflow_datasets``.

    Returns:
      The builder, whose ``is_prepared()`` returns True if the files exist.

    Raises:
      ValueError: The directory is not on a local file system, or the files are damaged or can be read only by
        TensorFlow.
    """
    import tensorflow_datasets as tfds

    named = os.fspath(directory or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    root = os.path.expanduser(named)
    if "://" in root:
        raise ValueError(f"data.directory is {named}, expected a local path")
    if root.startswith("~"):
        raise ValueError(f"data.directory is {named}, but there is no home directory; choose another path")
    with _readable(os.path.join(root, source), source):
        builder = tfds.builder(source, data_dir=root)
        found = builder.info.file_format
    if builder.is_prepared() and found is not tfds.core.FileFormat.ARRAY_RECORD:
        raise ValueError(
            f"{builder.data_dir} has {found.value} files, which only TensorFlow can read; prepare the data "
            f"set elsewhere, and pass that folder from then on: laya prepare {source} --data.directory FOLDER"
        )
    return builder


@contextlib.contextmanager
def _readable(path: str, source: str) -> Iterator[None]:
    """Converts exceptions from damaged files to a one-line message that says what to do."""
    try:
        yield
    except Exception as error:  # protobuf, the C++ reader and Pillow raise different exceptions
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}: {reason}); if it is damaged, delete it and run: "
            f"laya prepare {source}"
        ) from error


def _class_names(builder: "DatasetBuilder") -> tuple[str, ...]:
    labels = builder.info.features["label"]
    if len(labels.names) != labels.num_classes:
        raise ValueError(f"it names {len(labels.names)} of {labels.num_classes} classes")
    return tuple(labels.names)


def _read(builder: "DatasetBuilder", split: str) -> tuple[Any, NDArray[np.int32]]:
    """Reads the texts or the images of a split, and their labels."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    name = "text" if "text" in features else "image"
    # Decoding images with tensorflow-datasets would take twice as long.
    decoders = {"image": tfds.decode.SkipDecoding()} if name == "image" else None
    source = builder.as_data_source(split=split, decoders=decoders)
    rows = source.__getitems__(range(len(source)))
    encoded, labels = [row[name] for row in rows], np.array([row["label"] for row in rows], np.int32)
    if name == "text":
        return [without_breaks(text.decode()) for text in encoded], labels
    return _decode(encoded, features["image"].shape), labels


def _decode(encoded: Sequence[bytes], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    from PIL import Image

    pixels = np.empty((len(encoded), *shape), np.uint8)
    for into, content in zip(pixels, encoded, strict=True):
        with Image.open(io.BytesIO(content)) as image:
            if image.size != shape[1::-1]:  # checked before decoding, which could take any amount of memory
                raise ValueError(f"an image has {image.size[0]} x {image.size[1]} pixels")
            into[...] = np.asarray(image).reshape(shape)
    return pixels
