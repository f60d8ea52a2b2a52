"""On-disk cache of the pooled hidden states of a frozen backbone, shared by all later runs.

There is one folder per backbone, preprocessing and set of inputs; an interrupted computation is resumed.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike, NDArray

from laya_jax.backbones import Pretrained
from laya_jax.data import PADDING, Examples, Preprocessing, Rows
from laya_jax.engine import LARGEST_RESIDENT, Feed, Parallel, Predictor, any_process, cores
from laya_jax.files import cache_home, locked
from laya_jax.inputs.states_file import StatesFile
from laya_jax.typing import Array, Parameters, PyTree

VERSION = 1
"""Version of the computation of hidden states; a new version invalidates the cache."""

LOCK = "lock"

PER_DEVICE = 64
"""Batch size per device other than a CPU."""

CPU_IMAGES, CPU_TOKENS = 2, 512
"""Images, or tokens of texts, per batch on a CPU: fast values for a small ViT and a small BERT."""

CHUNK = 4
"""Number of batches between writes to disk."""

SHORTEST = 32
"""Granularity in tokens of the lengths to which texts are padded."""


class StatesKey(NamedTuple):
    """Hash of everything that hidden states depend on, in hexadecimal."""

    digits: str

    def checksum(self) -> int:
        """Returns the hash, truncated."""
        return int(self.digits[:8], 16)


class CachedStates:
    """Hidden states on disk: a read-only array [N, L, D] of float32.

    Attributes:
      path: Path of the file.
      key: Hash of the backbone, the preprocessing and the inputs.
      shape: Number of examples, layers and dimensions.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, path: Path, key: StatesKey) -> None:
        self._states = np.load(path, mmap_mode="r")
        self.path = path
        self.key = key
        self.shape = self._states.shape
        self.nbytes = self._states.nbytes

    def __len__(self) -> int:
        """Returns the number of examples."""
        return len(self._states)

    def __getitem__(self, rows: NDArray | slice) -> NDArray[np.float32]:
        """Reads the hidden states of some examples."""
        return np.asarray(self._states[rows])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        """Copies all hidden states, for NumPy."""
        return np.array(self._states, dtype, copy=copy)

    def checksum(self) -> int:
        """Returns a checksum of everything that the hidden states depend on."""
        return self.key.checksum()


class Unstack(nn.Module):
    """Backbone that unstacks cached hidden states, [B, L, D], for a head."""

    def __call__(self, states: Array) -> tuple[Array, ...]:
        """Returns L hidden states, [B, D]."""
        return tuple(states[:, layer] for layer in range(states.shape[1]))


def cached_hidden_states(
    inputs: Rows,
    pretrained: Pretrained,
    preprocessing: Preprocessing,
    parallel: Parallel,
    progress: Callable[[int, int], None] = lambda done, total: None,
    directory: Path | None = None,
) -> CachedStates:
    """Returns the hidden states of a frozen backbone from the cache, computing those that are missing.

    Damaged hidden states are computed again, with a warning.

    Args:
      inputs: Stored inputs, [N, ...].
      pretrained: Backbone and its parameters.
      preprocessing: Preprocessing from stored inputs to backbone inputs.
      parallel: Devices to compute on.
      progress: Callback, called with the numbers of examples done and in total.
      directory: Path of the cache directory; None uses the user's.

    Returns:
      Hidden states [N, L, D].

    Raises:
      ValueError: The folder of these hidden states contains a link.
      OSError: There is not enough disk space; the error names the file.
    """
    key = key_of(inputs, pretrained, preprocessing)
    directory = cache_directory() if directory is None else directory
    if jax.process_count() > 1:  # hosts may not share a disk
        directory = directory / f"process-{jax.process_index()}-of-{jax.process_count()}"
    folder = directory / key.digits
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK, wait=True):
        file = StatesFile(folder, (len(inputs), *hidden_shape(pretrained.backbone, preprocessing)))
        if any_process(not file.intact.all()):
            if jax.process_count() > 1:  # every process takes part in every step, so none can resume alone
                file.intact[:] = False
            _compute(file, inputs, pretrained, preprocessing, parallel, progress)
    return CachedStates(file.path, key)


def key_of(inputs: Rows, pretrained: Pretrained, preprocessing: Preprocessing) -> StatesKey:
    """Hashes everything that hidden states depend on, up to rounding.

    >>> from laya_jax.backbones import ViT
    >>> preprocessing = Preprocessing("images", (2, 2, 1))
    >>> len(key_of(np.zeros((3, 2, 2, 1)), Pretrained(ViT(), {"w": np.zeros(2)}), preprocessing).digits)
    32
    """
    known = hashlib.blake2b(repr((VERSION, pretrained.backbone, preprocessing)).encode(), digest_size=16)
    for path, leaf in jax.tree_util.tree_leaves_with_path(pretrained.parameters):
        known.update(repr((jax.tree_util.keystr(path), leaf.shape, leaf.dtype)).encode())
        known.update(np.ascontiguousarray(leaf).data)
    if hasattr(inputs, "checksum"):
        known.update(repr(inputs.checksum()).encode())
    else:
        known.update(repr((inputs.shape, inputs.dtype)).encode())
        known.update(np.ascontiguousarray(inputs).data)
    return StatesKey(known.hexdigest())


def cache_directory() -> Path:
    """Returns the path of the hidden states in the user's cache, which may be deleted at any time."""
    return cache_home() / "hidden_states"


def hidden_shape(backbone: nn.Module, preprocessing: Preprocessing) -> tuple[int, int]:
    """Computes the number and the width of a backbone's hidden states.

    Raises:
      ValueError: The backbone does not accept such inputs.
    """

    def initial() -> PyTree:
        stored = jnp.zeros((1, *preprocessing.shape), jnp.int32)
        return backbone.init_with_output(jax.random.key(0), preprocessing(stored))

    states, _ = jax.eval_shape(initial)
    return len(states), states[0].shape[-1]


def _compute(
    file: StatesFile,
    inputs: Rows,
    pretrained: Pretrained,
    preprocessing: Preprocessing,
    parallel: Parallel,
    progress: Callable[[int, int], None],
) -> None:
    """Computes the missing and damaged hidden states, in the order of ``_parts``."""
    file.begin()
    parameters, number = parallel.replicate(pretrained.parameters), len(inputs)
    for rows, length in _parts(inputs, preprocessing):
        reads = preprocessing if length is None else dataclasses.replace(preprocessing, shape=(length,))
        left = _incomplete(rows, file.intact, CHUNK * _batch(reads, parallel))
        part = inputs[left] if length is None else inputs[left][:, :length]
        extract = make_extractor(pretrained.backbone, reads, parallel)
        for values in extract(parameters, part) if len(left) else ():
            file.write(left[: len(values)], values)
            left = left[len(values) :]
            progress(int(np.count_nonzero(file.intact)), number)


def _incomplete(rows: NDArray, intact: NDArray[np.bool_], size: int) -> NDArray:
    """Selects the rows of all chunks that are not fully intact.

    Whole chunks are recomputed, so that rows have the same batch neighbours and come out bit-identical.
    """
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([rows[:0], *(chunk for chunk in chunks if not intact[chunk].all())])


def make_extractor(
    backbone: nn.Module, preprocessing: Preprocessing, parallel: Parallel
) -> Callable[[Parameters, Rows], Iterator[NDArray[np.float32]]]:
    """Returns a function that computes hidden states: (parameters, inputs) -> iterator of [n, L, D].

    Args:
      backbone: Backbone without its parameters.
      preprocessing: Preprocessing from stored inputs to backbone inputs.
      parallel: Devices to compute on, which hold the parameters.
    """

    def read(parameters: Parameters, inputs: Array) -> Array:
        hidden_states = cast(tuple[Array, ...], backbone.apply({"params": parameters}, inputs))
        return jnp.stack(hidden_states, axis=1).astype(jnp.float32)

    on_cpu, size = jax.default_backend() == "cpu", _batch(preprocessing, parallel)
    predictor = Predictor(read, preprocessing, parallel, batch_size=size)
    # A single computation leaves CPU cores idle; on several devices, concurrent ones could deadlock.
    alone = len(parallel.devices) == 1 and jax.process_count() == 1
    at_once = cores() if on_cpu and alone else 1

    def extract(parameters: Parameters, inputs: Rows) -> Iterator[NDArray[np.float32]]:
        # Inputs in files are streamed, so that reading overlaps with computation.
        resident = LARGEST_RESIDENT if isinstance(inputs, np.ndarray) else 0
        examples = Examples(inputs, np.zeros(len(inputs), np.int32))
        feed = Feed(examples, parallel, resident, chunk=CHUNK)
        left = len(inputs)
        for values in predictor.chunks(parameters, feed, at_once):
            yield values.reshape(-1, *values.shape[2:])[:left]
            left -= values.shape[0] * size

    return extract


def _batch(preprocessing: Preprocessing, parallel: Parallel) -> int:
    """Returns the batch size over all devices."""
    each = PER_DEVICE
    if jax.default_backend() == "cpu":
        tokens = preprocessing.kind == "tokens"
        each = max(1, CPU_TOKENS // preprocessing.shape[0]) if tokens else CPU_IMAGES
    return len(parallel.devices) * each


def _parts(inputs: Rows, preprocessing: Preprocessing) -> Iterator[tuple[NDArray, int | None]]:
    """Yields rows of inputs that share a shape, and the length to which their texts are truncated."""
    rows = np.arange(len(inputs))
    if preprocessing.kind != "tokens":
        yield rows, None
        return
    longest = preprocessing.shape[0]
    lengths = np.sum(np.asarray(inputs) != PADDING, axis=1)
    rounded = np.minimum(np.maximum(-(-lengths // SHORTEST), 1) * SHORTEST, longest)
    for length in np.unique(rounded):
        yield rows[rounded == length], int(length)
