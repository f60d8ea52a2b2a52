"""TPU chips: published peaks, and topologies for ahead-of-time compilation."""

import importlib.util
import os
import re
from glob import glob
from typing import NamedTuple

import jax
from jax.experimental import topologies

EXTRA = "pip install 'laya-jax[tpu-check]'"

LIBTPU = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # no lock on the machine's TPU, since it has none
    "TPU_SKIP_MDS_QUERY": "1",  # no metadata server to query
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LOG_DIR": "disabled",
}
"""Environment variables with which libtpu loads silently on any machine, in several processes at once."""


class Chip(NamedTuple):
    """Peaks of one chip.

    Attributes:
      flops: Peak bfloat16 operations of the matrix units per second.
      bandwidth: Memory bandwidth in bytes per second.
      memory: Memory capacity in bytes.
      axes: Number of axes of the interconnect.
      options: Options of libtpu for one device per chip, as on an actual TPU.
    """

    flops: float
    bandwidth: float
    memory: int
    axes: int
    options: dict[str, object]


CHIPS = {
    "v4": Chip(275e12, 1200e9, 32 * 2**30, 3, {"chip_config_name": "megacore"}),
    "v5e": Chip(197e12, 819e9, 16 * 10**9, 2, {}),
    "v5p": Chip(459e12, 2765e9, 95 * 10**9, 3, {}),
    "v6e": Chip(918e12, 1638e9, 32 * 10**9, 2, {}),
}
"""Chips by name. Reference: https://cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e, "Key specifications"."""


def has_tpu() -> bool:
    """Returns True if this machine may have a TPU: it has the device files, or the user says so."""
    return bool(glob("/dev/accel*") or glob("/dev/vfio/[0-9]*") or "JAX_FORCE_TPU_INIT" in os.environ)


def expect_no_tpu() -> None:
    """Sets the environment variables of ``LIBTPU`` that the user has not set.

    Without them, libtpu prints errors as soon as JAX looks for a TPU, queries servers that do not exist, and
    locks out other processes.
    """
    for variable, value in LIBTPU.items():
        os.environ.setdefault(variable, value)


def find_topology(topology: str) -> tuple[Chip, list[jax.Device]]:
    """Returns the chip and the devices of a topology, for which programs can be compiled but not run.

    Args:
      topology: Name of the chip, a colon, and the chips along each axis of the interconnect: "v5e:2x4".

    Raises:
      ModuleNotFoundError: libtpu is not installed.
      ValueError: There is no such topology.

    >>> find_topology("v5e")
    Traceback (most recent call last):
      ...
    ValueError: topology is 'v5e', expected a form like 'v4:2x2x1', 'v5e:2x4', 'v5p:2x2x1' or 'v6e:2x4'
    """
    name, _, shape = topology.partition(":")
    if name not in CHIPS or not re.fullmatch(r"\d+" + r"x\d+" * (CHIPS[name].axes - 1), shape):
        raise ValueError(
            f"topology is {topology!r}, expected a form like 'v4:2x2x1', 'v5e:2x4', 'v5p:2x2x1' or 'v6e:2x4'"
        )
    if importlib.util.find_spec("libtpu") is None:
        raise ModuleNotFoundError(f"libtpu is missing; to compile for a TPU without one: {EXTRA}")
    expect_no_tpu()
    sizes = [int(size) for size in shape.split("x")]
    # Hosts have 2 x 2 chips, as libtpu assumes, or fewer in smaller topologies.
    host = [min(size, limit) for size, limit in zip([*sizes, 1][:3], (2, 2, 1), strict=True)]
    try:
        found = topologies.get_topology_desc(
            topology, platform="tpu", chips_per_host_bounds=host, **CHIPS[name].options
        )
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(f"topology is {topology!r}, which libtpu rejects: {error}") from error
    return CHIPS[name], found.devices
