"""A hostile place to run in: 8 devices, no silent rank promotion; pyproject.toml makes warnings errors.

Programs run once here, so most time is compilation, and XLA is told not to optimize much. What XLA_FLAGS
says already comes after that and wins: so the continuous integration tests what users run, too.
"""

import atexit
import gc
import itertools
import os
import shutil
import tempfile
from importlib.metadata import version
from typing import Any

# XLA's older emitters compile small programs faster. A jaxlib without them ends the process at the flag.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true "
    + os.environ.get(
        "XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10.")
    )
)
os.environ["JAX_PLATFORMS"] = "cpu"

# What one worker or one process of a test has compiled, no other has to. The first process makes the folder,
# and the workers inherit its name.
if "PYTEST_XDIST_WORKER" not in os.environ:
    compilations = tempfile.mkdtemp(prefix="laya-jax-compilations-")
    atexit.register(shutil.rmtree, compilations, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compilations
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import jax.numpy as jnp
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

# Tracing makes many small objects that live, which the garbage collector would look through again and again.
gc.set_threshold(50_000, 20, 100)

pytest_plugins = ["run_fixtures"]
"""Fixtures of small runs and what they read, for the tests of several packages."""


@pytest.fixture(autouse=True)
def example_names(doctest_namespace: dict[str, Any]) -> None:
    """The names that every docstring's example may take as given."""
    doctest_namespace.update(jax=jax, jnp=jnp)


TESTS = itertools.count(1)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Forgets compiled programs now and then, since a worker would otherwise keep gigabytes of them."""
    if next(TESTS) % 300 == 0:
        jax.clear_caches()
        gc.collect()
