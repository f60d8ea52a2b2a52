"""Memory check that rejects implausibly large arrays before they are allocated."""

import math
import os

import jax


def check_fits(state: object) -> None:
    """Checks that arrays fit into the memory of this machine.

    Args:
      state: Arrays, or their shapes and dtypes.

    Raises:
      ValueError: The arrays are larger than the memory.

    >>> check_fits(jax.ShapeDtypeStruct((2**10,), "float32"))
    """
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    if jax.default_backend() == "cpu":  # one copy on the device and one on the host
        size *= 2
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if size > memory > 0:
            raise ValueError(
                f"training needs {size / 1e9:,.0f} GB for its parameters alone, expected at most this "
                f"machine's {memory / 1e9:,.0f} GB; make backbone.widths or head.dim smaller"
            )
