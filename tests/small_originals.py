"""Small originals of the named data sets, in the real formats, and processes that know them."""

import gzip
import hashlib
import io
import os
import struct
import subprocess
import sys
import tarfile

import numpy as np

from laya_jax.data.download import RemoteFile

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

IMDB = {
    "aclImdb/README": b"not to be read",
    "aclImdb/test/pos/0_10.txt": b"A fine film.",
    "aclImdb/train/unsup/0_0.txt": b"No label.",
    "aclImdb/train/neg/1_2.txt": b" dull<br />and long \n",
    "aclImdb/test/neg/0_1.txt": b"No.",
    "aclImdb/train/pos/0_9.txt": "Très beau\x85".encode(),
    "aclImdb/train/labeledBow.feat": b"0:9 1:1",
    **{f"aclImdb/train/neg/{number}_1.txt": b"bad %d" % number for number in range(2, 12)},
    **{f"aclImdb/train/pos/{number}_8.txt": b"good %d" % number for number in range(2, 12)},
}


def originals():
    """Contents of the original files by data set and name."""
    generator = np.random.default_rng(0)
    fashion = {}
    for prefix, number in (("train", 90), ("t10k", 30)):
        pixels = generator.integers(0, 256, (number, 28, 28), np.uint8)
        labels = (np.arange(number) % 10).astype(np.uint8)
        for name, values in (("images-idx3", pixels), ("labels-idx1", labels)):
            header = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape)
            fashion[f"{prefix}-{name}-ubyte.gz"] = gzip.compress(header + values.tobytes(), mtime=0)
    names = ["data_batch_2.bin", "test_batch.bin", *(f"data_batch_{number}.bin" for number in (1, 3, 4, 5))]
    cifar = {
        f"cifar-10-batches-bin/{name}": b"".join(
            bytes([label]) + generator.integers(0, 256, 3072, np.uint8).tobytes() for label in range(10)
        )
        for name in names
    }
    cifar["cifar-10-batches-bin/batches.meta.txt"] = "\n".join((*CLASSES, "", "")).encode()
    return {
        "fashion_mnist": fashion,
        "cifar10": {"cifar-10-binary.tar.gz": archive(cifar)},
        "imdb_reviews": {"aclImdb_v1.tar.gz": archive(IMDB)},
    }


def archive(members):
    """A .tar.gz with these files."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(into.getvalue(), mtime=0)


def described(files, url):
    """What is known of the files of a data set before they are downloaded."""
    return [
        RemoteFile(f"{url}/{name}", name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in files.items()
    ]


def run_laya(server, source, *arguments, before="", **environment):
    """Runs the command line in a process for which the small originals are the real ones.

    Args:
      server: Server that has them.
      source: Data set in question.
      arguments: Words after "laya".
      before: Statements to run first.
      environment: Variables of the environment to set.
    """
    files = [tuple(file) for file in described(originals()[source], server.url)]
    code = f"""
import sys
{before}
from laya_jax.data import originals, preparation
from laya_jax.data.download import RemoteFile
files = [RemoteFile(*file) for file in {files!r}]
originals.original_files = preparation.original_files = lambda source, mirror=None: files
from laya_jax.cli import main
sys.exit(main({list(map(str, arguments))!r}))
"""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
    )
