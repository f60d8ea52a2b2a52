"""A hostile place to run in: 8 devices, no silent rank promotion; pyproject.toml makes warnings errors.

Programs run once here, so most time is compilation, and XLA is told not to optimise much. What XLA_FLAGS
says already comes after that and wins: so the continuous integration tests what users run, too.
"""

import os
from typing import Any

os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
    f"--xla_llvm_disable_expensive_passes=true {os.environ.get('XLA_FLAGS', '')}"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

pytest_plugins = ["run_fixtures"]
"""Fixtures of small runs and what they read, for the tests of several packages."""


@pytest.fixture(autouse=True)
def example_names(doctest_namespace: dict[str, Any]) -> None:
    """The names that every docstring's example may take as given."""
    doctest_namespace.update(jax=jax, jnp=jnp)
