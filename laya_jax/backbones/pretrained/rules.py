"""From the arrays of a file to the parameters of a backbone, every one of both accounted for."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from numpy.typing import NDArray

from laya_jax.backbones.vit import ViT
from laya_jax.typing import Parameters


class Rule(NamedTuple):
    """Where a parameter comes from.

    Attributes:
      source: name of the array in the file.
      change: what makes the parameter of it.
    """

    source: str
    change: Callable[[NDArray], NDArray] = lambda array: array


Rules = dict[str, Rule]
"""By the parameter's path, joined by "/"."""


def assemble(
    arrays: Mapping[str, NDArray], rules: Rules, unused: str, backbone: nn.Module, path: Path
) -> Parameters:
    """The backbone's parameters.

    Args:
      arrays: of the file.
      rules: where each parameter comes from.
      unused: pattern of the names of what the file may hold besides.
      backbone: whose parameters they are.
      path: of the file.

    Raises:
      ValueError: arrays are missing, not expected, or of the wrong shape.
    """
    expected = {rule.source for rule in rules.values()}
    found = {name for name in arrays if not re.match(unused, name)}
    if expected != found:
        raise ValueError(
            f"{path} does not hold the weights that its model needs: missing {sorted(expected - found)}, "
            f"not expected {sorted(found - expected)}"
        )
    example = jnp.zeros((1, 1), jnp.int32)
    if isinstance(backbone, ViT):
        example = jnp.zeros((1, *(side * backbone.patch_size for side in backbone.grid), 3))
    shapes = jax.eval_shape(backbone.init, jax.random.key(0), example)["params"]
    parameters = {}
    for target, shape in flatten_dict(shapes, sep="/").items():
        source, change = rules[target]
        try:
            array = np.ascontiguousarray(change(arrays[source]), np.float32)
        except (ValueError, IndexError):
            array = arrays[source]
        if array.shape != shape.shape:
            raise ValueError(
                f"{path}: {source} has shape {arrays[source].shape}, which makes {array.shape} of {target}; "
                f"expected {shape.shape}"
            )
        parameters[target] = array
    return unflatten_dict(parameters, sep="/")
