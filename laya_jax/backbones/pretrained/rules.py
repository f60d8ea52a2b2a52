"""Conversion of a file's arrays to a backbone's parameters, with every array and parameter accounted for."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from numpy.typing import NDArray

from laya_jax.backbones.transformer import Transformer
from laya_jax.typing import Parameters


class Rule(NamedTuple):
    """Source of a parameter.

    Attributes:
      source: Name of the array in the file.
      change: Function that turns the array into the parameter.
    """

    source: str
    change: Callable[[NDArray], NDArray] = lambda array: array


Rules = dict[str, Rule]
"""Rules by the parameter's path, joined by "/"."""


def match_names(names: Collection[str], rules: Rules, unused: str, path: Path) -> dict[str, str]:
    r"""Finds the name in the file of each array that the rules need.

    A common prefix, such as "bert.", "model." or "0.auto_model.", is removed. LayerNorms may use the names of
    TensorFlow models, gamma and beta.

    Args:
      names: Names of all arrays in the file.
      rules: Source of each parameter.
      unused: Pattern of the names of other permitted arrays.
      path: Path of the file, for messages.

    Raises:
      ValueError: Arrays are missing, unexpected or duplicated.

    >>> rules = {"norm/scale": Rule("LayerNorm.weight")}
    >>> match_names(["bert.LayerNorm.gamma", "head.bias"], rules, r"head\..+", Path("model.safetensors"))
    {'LayerNorm.weight': 'bert.LayerNorm.gamma'}
    """
    expected = {rule.source for rule in rules.values()}
    present = {name: _present_name(name) for name in names}
    prefix = _prefix(present.values(), expected)
    found: dict[str, str] = {}
    for name, now in present.items():
        short = _without(now, prefix)
        if short in found:
            raise ValueError(f"{path} holds {short} twice, as {found[short]} and as {name}")
        found[short] = name
    missing = sorted(expected - found.keys())
    surplus = sorted(found[short] for short in found.keys() - expected if not re.fullmatch(unused, short))
    if missing or surplus:
        timm = any(name.endswith("blocks.0.attn.qkv.weight") for name in names)
        raise ValueError(
            f"{path} does not hold exactly the model's weights: {_some(missing)} missing, "
            f"{_some(surplus)} unexpected"
            + ("; the names are timm's, expected those of transformers" if timm else "")
        )
    return {source: found[source] for source in expected}


def make_parameters(
    arrays: Mapping[str, NDArray], rules: Rules, backbone: Transformer, path: Path
) -> Parameters:
    """Converts arrays to the backbone's parameters, in float32.

    Args:
      arrays: Arrays by their names in the rules.
      rules: Source of each parameter.
      backbone: Module to which the parameters belong.
      path: Path of the file, for messages.

    Raises:
      ValueError: An array has the wrong shape or dtype, or contains non-finite values.
    """
    shapes = jax.eval_shape(backbone.init, jax.random.key(0), backbone.example)["params"]
    parameters = {}
    for target, shape in flatten_dict(shapes, sep="/").items():
        source, change = rules[target]
        array = _floats(arrays[source], f"{path}: {source}")
        with suppress(ValueError, IndexError):  # wrong number of axes, reported below
            array = np.ascontiguousarray(change(array))
        if array.shape != shape.shape:
            raise ValueError(
                f"{path}: {source} has shape {arrays[source].shape}, which gives {target} the shape "
                f"{array.shape}, expected {shape.shape}"
            )
        parameters[target] = array
    return unflatten_dict(parameters, sep="/")


def _floats(array: NDArray, name: str) -> NDArray[np.float32]:
    """Converts an array to float32."""
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} has dtype {array.dtype}, expected floating point")
    with np.errstate(over="ignore"):  # overflow is reported below
        values = array.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds values that are not finite, expected numbers")
    return values


def _present_name(name: str) -> str:
    """Replaces TensorFlow's suffixes of an array's name by PyTorch's.

    >>> _present_name("embeddings.LayerNorm.gamma")
    'embeddings.LayerNorm.weight'
    """
    return re.sub(
        r"LayerNorm\.beta$", "LayerNorm.bias", re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
    )


def _prefix(names: Iterable[str], expected: set[str]) -> str:
    """Finds the most common prefix of the expected arrays, up to and including a dot."""
    found: Counter[str] = Counter()
    for name in names:
        starts = [0, *(dot.end() for dot in re.finditer(r"\.", name))]
        found.update(name[:start] for start in starts if name[start:] in expected)
    return max(found, key=lambda prefix: (found[prefix], -len(prefix)), default="")


def _without(name: str, prefix: str) -> str:
    """Removes the prefix from a name, or as many whole parts of the prefix as match.

    >>> _without("module.bert.norm.bias", "module.bert."), _without("module.classifier.bias", "module.bert.")
    ('norm.bias', 'classifier.bias')
    """
    for part in prefix.split(".")[:-1]:
        if not name.startswith(f"{part}."):
            break
        name = name.removeprefix(f"{part}.")
    return name


def _some(names: list[str]) -> str:
    """Counts names, and lists the first few.

    >>> _some(["a", "b", "c", "d"]), _some([])
    ('4 (a, b, c, ...)', 'none')
    """
    first = ", ".join(name[:100] for name in names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} ({first})" if names else "none"
