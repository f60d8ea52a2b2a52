"""Pooled hidden states of a frozen backbone, computed once and kept on disk for every later run.

One folder per backbone, preprocessing and set of inputs; interrupted, the next process goes on in it.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax.backbones import Pretrained
from laya_jax.data import PADDING, Examples, Preprocessing
from laya_jax.engine import LARGEST_RESIDENT, Feed, Parallel, Predictor, any_process, cores
from laya_jax.files import cache_home, locked
from laya_jax.inputs.states_file import StatesFile
from laya_jax.typing import Array, Parameters

VERSION = 1
"""Version of how hidden states are computed, so that the cache gives none of an earlier one."""

LOCK = "lock"

PER_DEVICE = 64
"""Examples that a device computes at once, unless it is a CPU."""

CPU_IMAGES, CPU_TOKENS = 2, 512
"""Images, and tokens of texts, that a CPU computes at once: what is fast for a small ViT and a small BERT."""

CHUNK = 4
"""Batches after which what is done is on disk."""

SHORTEST = 32
"""Texts are cut to the next multiple of this many tokens that holds them."""


class StatesKey(NamedTuple):
    """Hash of everything that hidden states depend on, in hexadecimal digits."""

    digits: str

    def checksum(self) -> int:
        """Returns the hash, shortened."""
        return int(self.digits[:8], 16)


class CachedStates:
    """Hidden states on disk: a read-only array [N, L, D] of float32.

    Attributes:
      path: Path of the file.
      key: Hash of the backbone, the preprocessing and the inputs that they were computed from.
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
        """Reads those of some examples."""
        return np.asarray(self._states[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        """Copies all of them, for NumPy."""
        return np.array(self._states, dtype, copy=copy)

    def checksum(self) -> int:
        """Returns a checksum that changes with anything that they depend on."""
        return self.key.checksum()


class HiddenStates(nn.Module):
    """Backbone of a head that reads hidden states as they come out of the cache, [B, L, D]."""

    def __call__(self, states: Array) -> tuple[Array, ...]:
        """Returns L hidden states, [B, D]."""
        return tuple(states[:, layer] for layer in range(states.shape[1]))


def cached_hidden_states(
    inputs: Any,
    pretrained: Pretrained,
    preprocessing: Preprocessing,
    parallel: Parallel,
    progress: Callable[[int, int], None] = lambda done, total: None,
    directory: Path | None = None,
) -> CachedStates:
    """Takes the hidden states of a frozen backbone from the cache, or computes them and puts them there.

    Those that are damaged are computed again, with a warning.

    Args:
      inputs: Inputs as stored, [N, ...].
      pretrained: Backbone and its parameters.
      preprocessing: Preprocessing that turns stored inputs into the backbone's.
      parallel: Devices to compute on.
      progress: Called with the number of examples that are done, and of all.
      directory: Directory of the cache; None takes the user's.

    Returns:
      Hidden states [N, L, D].

    Raises:
      ValueError: There is a link in the folder of these hidden states.
      OSError: There is no room for them; the error names the file.
    """
    key = key_of(inputs, pretrained, preprocessing)
    directory = cache_directory() if directory is None else directory
    if jax.process_count() > 1:  # hosts need not share their disks
        directory = directory / f"process-{jax.process_index()}-of-{jax.process_count()}"
    folder = directory / key.digits
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK, wait=True):
        file = StatesFile(folder, (len(inputs), *hidden_shape(pretrained.backbone, preprocessing)))
        if any_process(not file.intact.all()):
            if jax.process_count() > 1:  # all take part in every step, so none goes on where it was
                file.intact[:] = False
            _compute(file, inputs, pretrained, preprocessing, parallel, progress)
    return CachedStates(file.path, key)


def key_of(inputs: Any, pretrained: Pretrained, preprocessing: Preprocessing) -> StatesKey:
    """Hashes everything that hidden states depend on, but for rounding.

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
    """Returns the directory of hidden states in the user's cache; it may be deleted at any time."""
    return cache_home() / "hidden_states"


def hidden_shape(backbone: nn.Module, preprocessing: Preprocessing) -> tuple[int, int]:
    """Computes the number and the width of a backbone's hidden states.

    Raises:
      ValueError: The backbone cannot read such inputs.
    """

    def initial() -> Any:
        stored = jnp.zeros((1, *preprocessing.shape), jnp.int32)
        return backbone.init_with_output(jax.random.key(0), preprocessing(stored))

    states, _ = jax.eval_shape(initial)
    return len(states), states[0].shape[-1]


def _compute(
    file: StatesFile,
    inputs: Any,
    pretrained: Pretrained,
    preprocessing: Preprocessing,
    parallel: Parallel,
    progress: Callable[[int, int], None],
) -> None:
    """Computes the hidden states that are not intact, in the order of ``_parts``."""
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
    """Selects the rows of whole chunks in which not all is intact.

    Whatever is computed again is then computed beside the same rows as before, and comes out the same.
    """
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([rows[:0], *(chunk for chunk in chunks if not intact[chunk].all())])


def make_extractor(
    backbone: nn.Module, preprocessing: Preprocessing, parallel: Parallel
) -> Callable[[Parameters, Any], Iterator[NDArray[np.float32]]]:
    """Makes a function that computes hidden states: (parameters, inputs) -> some [n, L, D] at a time.

    Args:
      backbone: Backbone without its parameters.
      preprocessing: Preprocessing that turns stored inputs into the backbone's.
      parallel: Devices to compute on, where the parameters are.
    """

    def read(parameters: Parameters, inputs: Array) -> Array:
        hidden_states: Any = backbone.apply({"params": parameters}, inputs)
        return jnp.stack(hidden_states, axis=1).astype(jnp.float32)

    on_cpu, size = jax.default_backend() == "cpu", _batch(preprocessing, parallel)
    predictor = Predictor(read, preprocessing, parallel, batch_size=size)
    # One computation does not keep the cores of a CPU busy; on many devices several could block each other.
    alone = len(parallel.devices) == 1 and jax.process_count() == 1
    at_once = cores() if on_cpu and alone else 1

    def extract(parameters: Parameters, inputs: Any) -> Iterator[NDArray[np.float32]]:
        # What has to be read from files is read while the devices compute.
        resident = LARGEST_RESIDENT if isinstance(inputs, np.ndarray) else 0
        examples = Examples(inputs, np.zeros(len(inputs), np.int32))
        feed = Feed(examples, parallel, resident, chunk=CHUNK)
        left = len(inputs)
        for values in predictor.chunks(parameters, feed, at_once):
            yield values.reshape(-1, *values.shape[2:])[:left]
            left -= values.shape[0] * size

    return extract


def _batch(preprocessing: Preprocessing, parallel: Parallel) -> int:
    """Returns the number of examples that all devices compute at once."""
    each = PER_DEVICE
    if jax.default_backend() == "cpu":
        tokens = preprocessing.kind == "tokens"
        each = max(1, CPU_TOKENS // preprocessing.shape[0]) if tokens else CPU_IMAGES
    return len(parallel.devices) * each


def _parts(inputs: Any, preprocessing: Preprocessing) -> Iterator[tuple[NDArray, int | None]]:
    """Yields rows of inputs that are computed alike, and the length that texts among them are cut to."""
    rows = np.arange(len(inputs))
    if preprocessing.kind != "tokens":
        yield rows, None
        return
    longest = preprocessing.shape[0]
    lengths = np.sum(np.asarray(inputs) != PADDING, axis=1)
    rounded = np.minimum(np.maximum(-(-lengths // SHORTEST), 1) * SHORTEST, longest)
    for length in np.unique(rounded):
        yield rows[rounded == length], int(length)
