"""Original files of the named data sets, and their conversion to the examples of tensorflow-datasets.

The generators of tensorflow-datasets read images through TensorFlow. This module produces the same examples
under the same keys without it, and the writer, which sorts by the hashes of keys, restores the same order.
"""

import gzip
import io
import math
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.download import RemoteFile

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

LARGEST = 2**29
"""Maximum number of bytes read from one file, after decompression."""


class Split(NamedTuple):
    """Examples of one split, for the writer of tensorflow-datasets.

    Attributes:
      number: Number of examples.
      examples: Pairs of key and example; the writer sorts by the hash of the key.
    """

    number: int
    examples: Iterable[tuple[object, dict[str, object]]]


def original_files(source: str, mirror: str | None = None) -> list[RemoteFile]:
    """Lists the original files of a data set, with the checksums recorded in tensorflow-datasets.

    Args:
      source: Name of the data set in tensorflow-datasets.
      mirror: URL of a directory on another server that has the files under the same names.

    >>> [file.name for file in original_files("cifar10")]
    ['cifar-10-binary.tar.gz']
    >>> original_files("cifar10", "http://localhost:8000/")[0].url
    'http://localhost:8000/cifar-10-binary.tar.gz'
    """
    import tensorflow_datasets as tfds

    files = []
    for url, info in tfds.builder_cls(source).url_infos.items():
        name = url.rpartition("/")[2]
        url = f"{mirror.rstrip('/')}/{name}" if mirror else url
        files.append(RemoteFile(url, name, int(info.size), info.checksum))
    return files


def megabytes(files: Iterable[RemoteFile]) -> int:
    """Sums the sizes of files, in megabytes, rounded up.

    >>> megabytes(original_files("cifar10"))
    171
    """
    return math.ceil(sum(file.size for file in files) / 10**6)


def read_originals(builder: "DatasetBuilder", folder: Path) -> dict[str, Split]:
    """Reads the original files of a data set.

    Args:
      builder: Builder of the data set in tensorflow-datasets; its class names are set if the files have them.
      folder: Path of the directory with the verified files.

    Returns:
      The splits by name.

    Raises:
      ValueError: A file does not have the expected content.
    """
    try:
        return READERS[builder.name](builder, folder)
    except (KeyError, EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise ValueError(f"the originals of {builder.name} in {folder} cannot be read: {error}") from error


def _fashion_mnist(builder: "DatasetBuilder", folder: Path) -> dict[str, Split]:
    del builder
    splits = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = _idx(folder / f"{prefix}-images-idx3-ubyte.gz", 3)
        labels = _idx(folder / f"{prefix}-labels-idx1-ubyte.gz", 1)
        splits[split] = Split(len(labels), _images(images, labels))
    return splits


def _idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Reads a uint8 array in the IDX format of MNIST: a magic number, the sizes, the values."""
    with gzip.open(path) as file:
        magic, *shape = np.frombuffer(file.read(4 * (1 + dimensions)), ">u4").tolist()
        values = np.frombuffer(file.read(LARGEST), np.uint8)
    if magic != 0x0800 + dimensions or len(values) != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{path} is not a {dimensions}-dimensional array of bytes in MNIST's format")
    return values.reshape(shape)


def _cifar10(builder: "DatasetBuilder", folder: Path) -> dict[str, Split]:
    path = folder / "cifar-10-binary.tar.gz"
    content = dict(_members(path, lambda name: name.startswith("cifar-10-batches-bin/")))

    def batch(name: str) -> NDArray[np.uint8]:
        return np.frombuffer(content[f"cifar-10-batches-bin/{name}"], np.uint8).reshape(-1, 3073)

    names = content["cifar-10-batches-bin/batches.meta.txt"].decode().split("\n")
    builder.info.features["label"].names = [name for name in names if name]
    splits = {}
    for split, files in (
        ("train", [f"data_batch_{number}.bin" for number in range(1, 6)]),
        ("test", ["test_batch.bin"]),
    ):
        rows = np.concatenate([batch(file) for file in files])
        images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        splits[split] = Split(len(rows), _images(images, rows[:, 0], f"{split}_"))
    return splits


def _images(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], prefix: str | None = None
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yields images as examples with their index as key, and with an id if a prefix is given."""
    from PIL import Image

    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        # Pillow images are encoded without TensorFlow.
        example = {"image": Image.fromarray(image), "label": int(label)}
        yield index, example if prefix is None else {**example, "id": f"{prefix}{index:05d}"}


def _imdb_reviews(builder: "DatasetBuilder", folder: Path) -> dict[str, Split]:
    path = folder / "aclImdb_v1.tar.gz"
    folders = ("train/neg/", "train/pos/", "train/unsup/", "test/neg/", "test/pos/")
    wanted = tuple(f"aclImdb/{name}" for name in folders)
    texts = list(_members(path, lambda name: name.startswith(wanted)))

    def split(directory: str, *kinds: str) -> Split:
        starts = tuple(f"{directory}/{kind}/" for kind in kinds)
        number = sum(name.startswith(starts) for name, _ in texts)
        archive: Iterator[tuple[str, IO[bytes]]] = ((name, io.BytesIO(text)) for name, text in texts)
        labeled = kinds != ("unsup",)
        return Split(number, builder._generate_examples(archive, directory, labeled))

    return {
        "train": split("aclImdb/train", "neg", "pos"),
        "test": split("aclImdb/test", "neg", "pos"),
        "unsupervised": split("aclImdb/train", "unsup"),
    }


def _members(path: Path, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Reads files of an archive into memory, in order, without extracting anything to disk."""
    total = 0
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if not member.isfile() or not is_wanted(member.name):
                continue
            total += member.size
            if total > LARGEST:
                raise ValueError(f"{path} unpacks to more than {LARGEST:,} bytes, expected fewer")
            file = archive.extractfile(member)
            yield member.name, b"" if file is None else file.read()


READERS = {"fashion_mnist": _fashion_mnist, "cifar10": _cifar10, "imdb_reviews": _imdb_reviews}
