"""Files of kernel heads: arrays in NumPy's .npz format, with a checksum over all of them."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.files import reading, writing
from laya_jax.kernels.head import KernelLayaHead
from laya_jax.kernels.similarity import KERNELS
from laya_jax.kernels.standardizing import Standardization

VERSION = 1
"""Version of the format."""


def save_kernel_head(head: KernelLayaHead, path: str | Path) -> None:
    """Writes a head to a single file, which is either complete or absent.

    The file contains the hidden states of ``head.stored_examples`` training examples.

    Args:
      head: Fitted head.
      path: Path of the file, which should end in .npz. An existing file is replaced.

    Raises:
      OSError: The file cannot be written; the error names it.
    """
    arrays = _arrays(head)
    facts = {
        "version": VERSION,
        "kernel": head.kernel,
        "layers": len(head.points),
        "stored_examples": head.stored_examples,
    }
    facts["checksum"] = _checksum(facts, arrays)
    contents: dict[str, Any] = {"facts": np.array(json.dumps(facts)), **arrays}
    with writing(path, binary=True) as file:
        np.savez(file, **contents)


def load_kernel_head(path: str | Path) -> KernelLayaHead:
    """Reads a head that ``save_kernel_head`` wrote.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is damaged, a symbolic link, or not a kernel head.
    """
    try:
        with reading(path) as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(str(arrays.pop("facts")))
        if facts.pop("checksum") != _checksum(facts, arrays):
            raise ValueError("its checksum differs")
        if facts["version"] != VERSION or facts["kernel"] not in KERNELS:
            raise ValueError(f"it is of version {facts['version']} and kernel {facts['kernel']!r}")
        layers = range(facts["layers"])
        means, scales, points = (
            tuple(jnp.asarray(arrays[f"{name}_{i}"]) for i in layers) for name in ("mean", "scale", "point")
        )
        coefficients, bias = (jnp.asarray(arrays[name]) for name in ("coefficients", "bias"))
    except (ValueError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as a kernel head: {error}") from error
    return KernelLayaHead(Standardization(means, scales), points, coefficients, bias, facts["kernel"])


def _arrays(head: KernelLayaHead) -> dict[str, NDArray]:
    standardize = head.standardization
    layers = zip(standardize.means, standardize.scales, head.points, strict=True)
    named: dict[str, object] = {"coefficients": head.coefficients, "bias": head.bias}
    for i, arrays in enumerate(layers):
        named |= dict(zip((f"mean_{i}", f"scale_{i}", f"point_{i}"), arrays, strict=True))
    return {name: np.ascontiguousarray(array) for name, array in named.items()}


def _checksum(facts: dict[str, object], arrays: dict[str, NDArray]) -> str:
    known = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(arrays):
        known.update(repr((name, arrays[name].shape, str(arrays[name].dtype))).encode())
        known.update(np.ascontiguousarray(arrays[name]).data)
    return known.hexdigest()
