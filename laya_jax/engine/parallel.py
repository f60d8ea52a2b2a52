"""Placement of arrays and compilation of steps, on 1 ... N devices and hosts.

There are two equivalent strategies: ``MeshParallel`` (the default) shards the batch over a mesh and leaves
communication to the compiler; ``PmapParallel`` runs one replica of the step per device, with explicit psums.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal, ParamSpec, Protocol, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jax.stages import Wrapped

from laya_jax.checks import check_choice, check_count
from laya_jax.typing import ArrayLike, PyTree

AXIS = "batch"

P = ParamSpec("P")
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """Devices to compute on; up to rounding, the result does not depend on them.

    Attributes:
      parallel: Data parallelism strategy: jit (the compiler shards the batch over all devices and hosts) or
        pmap (one replica of the step per device).
      devices: Number of devices to use; None uses all.
      require_backend: Required JAX backend; without it, the command fails immediately.
    """

    parallel: Literal["jit", "pmap"] = "jit"
    devices: int | None = None
    require_backend: Literal["cpu", "gpu", "tpu"] | None = None

    def __post_init__(self) -> None:
        check_choice("parallel", self.parallel, ("jit", "pmap"))
        if self.require_backend is not None:
            check_choice("require_backend", self.require_backend, ("cpu", "gpu", "tpu"))
        if self.devices is not None:
            check_count("devices", self.devices)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParallelConfig(DeviceConfig):
    """Devices and processes to train on.

    With dropout, pmap and microbatches draw different masks from those of a single device on the whole batch.

    Attributes:
      coordinator: Address of process 0, HOST:PORT, for multi-process training, or "auto" on clusters that JAX
        detects (TPU pods, Slurm). None trains in a single process.
      processes: Number of processes; not with "auto".
      process: Index of this process, from 0; not with "auto".
      microbatches: Number of microbatches per device, whose gradients are accumulated sequentially to save
        memory. None chooses a number that is fast.
    """

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    microbatches: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.microbatches is not None:
            check_count("microbatches", self.microbatches)
        several = self.coordinator not in (None, "auto")
        for name in ("processes", "process"):
            value = getattr(self, name)
            if several != (value is not None):
                expected = (
                    "a number with this coordinator" if several else "None without a HOST:PORT coordinator"
                )
                raise ValueError(f"{name} is {value}, expected {expected}")


class Parallel(Protocol):
    """Interface of both strategies to the training loop.

    Attributes:
      devices: All devices of the run, over all hosts.
      axis_name: Name of the device axis over which compiled functions have to psum; None if the compiler
        inserts the communication.
    """

    devices: Sequence[jax.Device]

    @property
    def axis_name(self) -> str | None:
        """The name of the device axis under pmap."""

    def replicate(self, tree: PyTree) -> PyTree:
        """Puts arrays on every device."""

    def split(self, batches: PyTree, axis: int) -> PyTree:
        """Divides host arrays over the devices along this axis, the batch."""

    def compile(self, function: Callable[P, T], *, donate: bool = False) -> Callable[P, T]:
        """Compiles a function of (replicated, replicated, batches, count) with replicated results."""

    def local(self, tree: PyTree) -> PyTree:
        """Returns one copy of replicated arrays."""


class MeshParallel:
    """``jax.jit`` over a one-axis mesh, with the batch sharded and everything else replicated.

    >>> parallel = MeshParallel(jax.devices()[:2])
    >>> double = parallel.compile(lambda state, data, batches, count: state * batches.sum() * count)
    >>> state = parallel.replicate(np.float32(1))
    >>> float(double(state, None, parallel.split(np.ones(4, np.float32), axis=0), 2))
    8.0
    """

    axis_name = None

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        self.devices = devices
        self.mesh = _mesh(devices)
        self.replicated = NamedSharding(self.mesh, PartitionSpec())

    def replicate(self, tree: PyTree) -> PyTree:
        """Puts arrays on every device."""
        return jax.tree.map(lambda leaf: _place(leaf, self.replicated), tree)

    def split(self, batches: PyTree, axis: int) -> PyTree:
        """Divides host arrays over the devices along this axis, the batch."""
        sharding = self.divided(axis)
        return jax.tree.map(lambda leaf: _place(leaf, sharding), batches)

    def divided(self, axis: int) -> NamedSharding:
        """Returns the sharding of an array that is divided along this axis."""
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))

    def compile(self, function: Callable[..., object], *, donate: bool = False) -> Wrapped:
        """Compiles with ``jax.jit``."""
        return jax.jit(function, out_shardings=self.replicated, donate_argnums=(0,) if donate else ())

    def local(self, tree: PyTree) -> PyTree:
        """Returns the arrays themselves."""
        return tree


class PmapParallel:
    """``jax.pmap``, where arrays have a leading axis over this host's devices.

    >>> parallel = PmapParallel(jax.devices()[:2])
    >>> def double(state, data, batches, count):
    ...     return jax.lax.psum(state * batches.sum(), parallel.axis_name) * count
    >>> state = parallel.replicate(np.float32(1))
    >>> batches = parallel.split(np.ones(4, np.float32), axis=0)
    >>> float(parallel.local(parallel.compile(double)(state, None, batches, 2)))
    8.0
    """

    axis_name = AXIS

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        self.devices = devices
        self.here = [device for device in devices if device.process_index == jax.process_index()]
        self.by_device = NamedSharding(_mesh(self.here), PartitionSpec(AXIS))

    def replicate(self, tree: PyTree) -> PyTree:
        """Puts arrays on every device of this host."""
        return jax.tree.map(lambda leaf: self._place([leaf] * len(self.here)), tree)

    def split(self, batches: PyTree, axis: int) -> PyTree:
        """Divides host arrays along this axis over all devices and places this host's shards."""
        return jax.tree.map(lambda leaf: self._split(leaf, axis), batches)

    def compile(self, function: Callable[P, T], *, donate: bool = False) -> Callable[P, T]:
        """Compiles with ``jax.pmap``."""
        return jax.pmap(
            function,
            axis_name=AXIS,
            in_axes=(0, 0, 0, None),
            devices=self.devices,
            donate_argnums=(0,) if donate else (),
        )

    def local(self, tree: PyTree) -> PyTree:
        """Returns the first device's copy."""
        return jax.tree.map(lambda leaf: leaf.addressable_shards[0].data[0], tree)

    def _split(self, batches: ArrayLike, axis: int) -> jax.Array:
        parts = np.split(np.asarray(batches), len(self.devices), axis=axis)
        return self._place([parts[self.devices.index(device)] for device in self.here])

    def _place(self, parts: Sequence[ArrayLike]) -> jax.Array:
        return jax.device_put(np.stack([np.asarray(part) for part in parts]), self.by_device)


def make_parallel(config: DeviceConfig, *, batch_size: int = 0) -> Parallel:
    """Creates the configured strategy for the available devices.

    Args:
      config: Requested devices.
      batch_size: Number of examples per step, a multiple of the number of devices; 0 without training.

    Raises:
      ValueError: The required backend or the requested number of devices is not available, or the batch is
        not divisible by the number of devices.

    >>> make_parallel(DeviceConfig(devices=3), batch_size=128)
    Traceback (most recent call last):
      ...
    ValueError: batch_size is 128, expected a multiple of 3, the number of devices
    """
    if config.require_backend not in (None, jax.default_backend()):
        found = ", ".join(str(device) for device in jax.devices())
        raise ValueError(
            f"require_backend is {config.require_backend!r}, but JAX found only {found}"
            f"{_reason_against(config.require_backend)}; "
            f"is the right jax installed (pip install 'laya-jax[cuda13]' or 'laya-jax[tpu]')?"
        )
    devices = jax.devices()
    if config.devices is not None:
        if config.devices > len(devices):
            raise ValueError(
                f"devices is {config.devices}, expected at most {len(devices)}, the number available"
            )
        devices = devices[: config.devices]
    if batch_size % len(devices):
        raise ValueError(
            f"batch_size is {batch_size}, expected a multiple of {len(devices)}, the number of devices"
        )
    return MeshParallel(devices) if config.parallel == "jit" else PmapParallel(devices)


def _reason_against(backend: str | None) -> str:
    """Returns JAX's reason for not offering a backend, if it gives one."""
    try:
        jax.devices(backend)
    except RuntimeError as error:
        return f" ({str(error).partition(chr(10))[0]})"
    return ""


def divisible(batch_size: int, parallel: Parallel) -> int:
    """Rounds a batch size up to a multiple of the number of devices.

    >>> divisible(128, MeshParallel(jax.devices()[:3]))
    129
    """
    devices = len(parallel.devices)
    return -(-batch_size // devices) * devices


def _mesh(devices: Sequence[jax.Device]) -> Mesh:
    # Explicit axes, the default, would require sharding annotations in the models.
    return jax.make_mesh((len(devices),), (AXIS,), (AxisType.Auto,), devices=devices)


def _place(leaf: ArrayLike, sharding: NamedSharding) -> jax.Array:
    # Every process holds the whole array and provides the shards of its own devices.
    array = np.asarray(leaf)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])
