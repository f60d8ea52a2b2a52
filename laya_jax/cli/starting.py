"""Start of every command: other processes, devices, console."""

import os

import jax

from laya_jax.cli.arguments import Output
from laya_jax.cli.console import Console
from laya_jax.training.parallel import DeviceConfig, ParallelConfig, connect


def console_of(output: Output, parallel: DeviceConfig = DeviceConfig()) -> Console:
    """Joins the other processes of a run, finds the devices, and returns the console of a command.

    Args:
      output: Output that was asked for.
      parallel: Devices and processes that were asked for.

    Raises:
      ValueError: JAX cannot start on the platforms that were asked for.
    """
    if isinstance(parallel, ParallelConfig):
        connect(parallel)
    try:
        jax.devices()
    # JAX asserts that there is a platform.
    except (RuntimeError, AssertionError) as error:
        asked = {name: os.environ.get(name) for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")}
        given = ", ".join(f"{name} is {value!r}" for name, value in asked.items() if value)
        raise ValueError(f"{given or 'JAX cannot start'}: {error or 'no such device was found'}") from error
    return Console(as_json=output.json)
