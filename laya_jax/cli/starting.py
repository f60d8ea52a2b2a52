"""Common start of every command: other processes, devices, console."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from laya_jax.cli.arguments import Output
from laya_jax.cli.console import Console
from laya_jax.engine import DeviceConfig, ParallelConfig, connect


@contextmanager
def started(output: Output, parallel: DeviceConfig = DeviceConfig()) -> Iterator[Console]:
    """Connects to the other processes of a run, and finds the devices.

    Args:
      output: Requested output format.
      parallel: Requested devices and processes.

    Yields:
      The console of the command.

    Raises:
      ValueError: JAX cannot start on the requested platforms.
    """
    if isinstance(parallel, ParallelConfig):
        connect(parallel)
    try:
        jax.devices()
    # JAX raises AssertionError if there is no platform.
    except (RuntimeError, AssertionError) as error:
        asked = {name: os.environ.get(name) for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")}
        given = ", ".join(f"{name} is {value!r}" for name, value in asked.items() if value)
        reason = str(error) or "there is no such device"
        raise ValueError(f"{given or 'JAX cannot start'}: {reason}") from error
    console = Console(as_json=output.json)
    try:
        yield console
    finally:
        console.close()
