"""Environment of a run: versions, git commit and devices."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import jax

from laya_jax.engine import ParallelConfig
from laya_jax.training.records import EnvironmentRecord

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "laya-jax")


def environment(parallel: ParallelConfig = ParallelConfig()) -> EnvironmentRecord:
    """Collects versions, git commit and devices, for reproducibility.

    Args:
      parallel: Devices and processes that the run is started on.
    """
    return EnvironmentRecord(
        python=platform.python_version(),
        packages={name: metadata.version(name) for name in PACKAGES},
        commit=_commit(),
        backend=jax.default_backend(),
        devices=tuple(device.device_kind for device in jax.devices()),
        processors=os.cpu_count(),
        started_on=parallel,
    )


def _commit() -> str | None:
    """Returns the git commit of this code, with "+" for uncommitted changes; None outside a repository."""
    here = Path(__file__).parents[1]  # root of the package

    def git(*command: str) -> str:
        run = subprocess.run(["git", "-C", here, *command], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
