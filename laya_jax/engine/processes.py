"""Processes of a run over several hosts, and the cores of this one."""

import os

import jax
import jax.numpy as jnp
import numpy as np

from laya_jax.engine import peers
from laya_jax.engine.parallel import ParallelConfig


def connect(config: ParallelConfig) -> None:
    """Connects to the other processes of a multi-process run; call it before any other use of JAX.

    Raises:
      ConnectionError: The other processes cannot be reached.
    """
    try:
        if config.coordinator == "auto":
            jax.distributed.initialize()
        elif config.coordinator is not None and config.process is not None:
            address = peers.join(config.coordinator, config.process)
            bind = address if config.process == 0 else None
            jax.distributed.initialize(
                address, config.processes, config.process, coordinator_bind_address=bind
            )
    except RuntimeError as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ConnectionError(
            f"the {config.processes} processes did not find each other: {reason}"
        ) from error


def any_process(flag: bool) -> bool:
    """Returns True in all processes if the flag is set in any of them, so that they act alike.

    >>> any_process(True)
    True
    """
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(jnp.asarray(flag))))


def cores() -> int:
    """Returns the number of CPU cores available to this process.

    >>> cores() > 0
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def barrier(name: str) -> None:
    """Waits until all processes of the run have reached the barrier of this name."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
