"""A hostile place to run in: 8 devices, no silent rank promotion; pyproject.toml makes warnings errors."""

import os
from typing import Any

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True)
def example_names(doctest_namespace: dict[str, Any]) -> None:
    """The names that every docstring's example may take as given."""
    doctest_namespace.update(jax=jax, jnp=jnp)
