"""TPU chips: their published peaks, and topologies to compile for where there is no TPU."""

import importlib.util
import os
import re
from glob import glob
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

EXTRA = "pip install 'laya-jax[tpu-check]'"

LIBTPU = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # it locks the machine's TPU, of which there is none
    "TPU_SKIP_MDS_QUERY": "1",  # nor is there a server to ask what this machine is
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LOG_DIR": "disabled",
}
"""Environment in which libtpu loads anywhere, in several processes at once, and says nothing."""


class Chip(NamedTuple):
    """Peaks of one chip.

    Attributes:
      flops: Operations of its matrix units in bfloat16, per second.
      bandwidth: Bandwidth of its memory, bytes per second.
      memory: Size of its memory in bytes.
      axes: Number of axes of its interconnect.
      options: Options of libtpu for one device per chip, as on the machine itself.
    """

    flops: float
    bandwidth: float
    memory: int
    axes: int
    options: dict[str, Any]


CHIPS = {
    "v4": Chip(275e12, 1200e9, 32 * 2**30, 3, {"chip_config_name": "megacore"}),
    "v5e": Chip(197e12, 819e9, 16 * 10**9, 2, {}),
    "v5p": Chip(459e12, 2765e9, 95 * 10**9, 3, {}),
    "v6e": Chip(918e12, 1638e9, 32 * 10**9, 2, {}),
}
"""By name. Reference: https://cloud.google.com/tpu/docs/v4, /v5e, /v5p and /v6e, "Key specifications"."""


def has_tpu() -> bool:
    """Returns whether this machine may have a TPU: the files of such devices, or a user who says so."""
    return bool(glob("/dev/accel*") or glob("/dev/vfio/[0-9]*") or "JAX_FORCE_TPU_INIT" in os.environ)


def expect_no_tpu() -> None:
    """Sets the environment variables of ``LIBTPU`` that the user has not set.

    Without them, libtpu complains on standard error as soon as JAX asks it for a TPU, asks servers that are
    not there, and locks out other processes.
    """
    for variable, value in LIBTPU.items():
        os.environ.setdefault(variable, value)


def find_topology(topology: str) -> tuple[Chip, list[jax.Device]]:
    """Returns a chip, and the devices of a topology of it; programs can be compiled for them, but not run.

    Args:
      topology: Name of the chip, colon, chips along each axis of the interconnect, as in "v5e:2x4".

    Raises:
      ModuleNotFoundError: libtpu is not installed.
      ValueError: There is no such topology.

    >>> find_topology("v5e")
    Traceback (most recent call last):
      ...
    ValueError: topology is 'v5e', expected as 'v4:2x2x1', 'v5e:2x4', 'v5p:2x2x1' or 'v6e:2x4'
    """
    name, _, shape = topology.partition(":")
    if name not in CHIPS or not re.fullmatch(r"\d+" + r"x\d+" * (CHIPS[name].axes - 1), shape):
        raise ValueError(
            f"topology is {topology!r}, expected as 'v4:2x2x1', 'v5e:2x4', 'v5p:2x2x1' or 'v6e:2x4'"
        )
    if importlib.util.find_spec("libtpu") is None:
        raise ModuleNotFoundError(f"libtpu is missing; to compile for a TPU without one: {EXTRA}")
    expect_no_tpu()
    sizes = [int(size) for size in shape.split("x")]
    # Hosts of 2 x 2 chips, as libtpu takes them to be, but smaller ones for a single chip.
    host = [min(size, limit) for size, limit in zip([*sizes, 1][:3], (2, 2, 1), strict=True)]
    try:
        found = topologies.get_topology_desc(
            topology, platform="tpu", chips_per_host_bounds=host, **CHIPS[name].options
        )
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(f"topology is {topology!r}, which libtpu refuses: {error}") from error
    return CHIPS[name], found.devices
