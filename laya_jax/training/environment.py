"""What a run is computed with: versions, git commit and devices."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "laya-jax")


def environment() -> dict[str, Any]:
    """Versions, git commit and devices, so that a result can be traced to what made it."""
    return {
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "commit": _commit(),
        "backend": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "processors": os.cpu_count(),
    }


def _commit() -> str | None:
    """The commit of the code that runs, with "+" if files differ from it; None outside of a repository."""
    here = Path(__file__).parents[1]  # all of the package

    def git(*command: str) -> str:
        run = subprocess.run(["git", "-C", here, *command], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
