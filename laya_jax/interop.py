"""Conversion of weights from the author's Keras notebook to a ``Classifier``."""

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import flax
import jax.numpy as jnp
import numpy as np

from laya_jax.backbones import MLP
from laya_jax.classifier import Classifier
from laya_jax.heads import LayaHead, check_temperature
from laya_jax.typing import ArrayLike, Parameters


class Weight(NamedTuple):
    """A weight: its path in the notebook, its path here, and the meaning of its axes."""

    name: str
    path: str
    axes: tuple[str, ...]


def from_keras(weights: Mapping[str, ArrayLike], temperature: float) -> tuple[Classifier, Parameters]:
    """Converts the weights of the author's Fashion-MNIST notebook to a classifier and its parameters.

    Sizes and psi are inferred from the shapes.

    Args:
      weights: Arrays by the notebook's weight paths, such as "dense_1/kernel", "ln_1/gamma",
        "LAYAHead/g1_proj/kernel", "LAYAHead/scorer/score_mlp1/kernel" and "LAYAHead/clf/bias".
      temperature: Temperature that the notebook trained with, which cannot be inferred from the weights.

    Returns:
      Classifier and parameters for ``classifier.apply({"params": parameters}, inputs)``, with inputs [B, ...]
      as in the notebook.

    Raises:
      TypeError: The weights are not a mapping to floating-point arrays.
      ValueError: A weight is missing, unexpected or of a shape that does not fit the others (the message
        names it), or the temperature is not greater than 0.

    >>> from_keras({"dense_1/bias": np.zeros(3)}, temperature=1.5)
    Traceback (most recent call last):
      ...
    ValueError: weights lack dense_1/kernel, ln_1/gamma, ln_1/beta, LAYAHead/g1_proj/kernel, ...
    """
    check_temperature(temperature)
    arrays = _arrays(weights)
    depth = _depth(arrays)
    psi = "mlp" if any(name.startswith("LAYAHead/psi/") for name in arrays) else "identity"
    table = list(_table(depth, psi))
    _check_names(arrays, [weight.name for weight in table])
    sizes = _sizes(arrays, table, depth)
    classifier = Classifier(
        backbone=MLP(widths=tuple(sizes[f"width of layer {i}"] for i in range(1, depth + 1))),
        head=LayaHead(
            num_classes=sizes["classes"],
            dim=sizes["shared width"],
            temperature=temperature,
            psi=psi,
            scorer_width=sizes["width of the scorer"],
        ),
    )
    flat = {weight.path: jnp.asarray(arrays[weight.name]) for weight in table}
    return classifier, flax.traverse_util.unflatten_dict(flat, sep="/")


_LAYER = re.compile(r"(?:dense_|ln_|LAYAHead/g)([1-9][0-9]*)(?:_proj)?/")


def _depth(arrays: Mapping[str, np.ndarray]) -> int:
    """Determines the number of layers by three votes, so that no single wrong weight decides it.

    By name, a layer exists if at least three of its six weights do.
    """
    found = Counter(int(match[1]) for match in map(_LAYER.match, arrays) if match)
    votes = [max((layer for layer, weights in found.items() if weights >= 3), default=1)]
    for name in ("LAYAHead/scorer/score_logits/kernel", "LAYAHead/scorer/score_logits/bias"):
        if name in arrays and arrays[name].ndim:
            votes.append(arrays[name].shape[-1])
    return statistics.median_high(votes)


def _table(depth: int, psi: str) -> Iterator[Weight]:
    below = "features"
    for i in range(1, depth + 1):
        width = f"width of layer {i}"
        yield from _dense(f"dense_{i}", f"backbone/dense_{i - 1}", below, width)
        yield Weight(f"ln_{i}/gamma", f"backbone/norm_{i - 1}/scale", (width,))
        yield Weight(f"ln_{i}/beta", f"backbone/norm_{i - 1}/bias", (width,))
        yield from _dense(f"LAYAHead/g{i}_proj", f"head/adapter_{i - 1}", width, "shared width")
        below = width
    if psi == "mlp":
        for i in (1, 2):
            yield from _dense(f"LAYAHead/psi/psi_mlp{i}", f"head/psi_{i - 1}", "shared width", "shared width")
    scorer = "LAYAHead/scorer/score_"
    yield from _dense(f"{scorer}mlp1", "head/scorer_hidden", "concatenated width", "width of the scorer")
    yield from _dense(f"{scorer}logits", "head/scorer_output", "width of the scorer", "layers")
    yield from _dense("LAYAHead/clf", "head/classifier", "shared width", "classes")


def _dense(name: str, path: str, inputs: str, outputs: str) -> Iterator[Weight]:
    yield Weight(f"{name}/kernel", f"{path}/kernel", (inputs, outputs))
    yield Weight(f"{name}/bias", f"{path}/bias", (outputs,))


def _arrays(weights: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"weights is a {type(weights).__name__}, expected a mapping from weight paths to arrays"
        )
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise TypeError(f"weights has the key {name!r}, expected weight paths")
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"weights[{name!r}] has dtype {array.dtype}, expected floating point")
    return arrays


def _check_names(arrays: Mapping[str, object], expected: list[str]) -> None:
    problems = []
    if missing := [name for name in expected if name not in arrays]:
        problems.append(f"lack {', '.join(missing)}")
    if extra := [name for name in arrays if name not in expected]:
        problems.append(f"hold {', '.join(extra)}, which the notebook's model does not have")
    if problems:
        raise ValueError(f"weights {'; they '.join(problems)}")


def _sizes(arrays: Mapping[str, np.ndarray], table: list[Weight], depth: int) -> dict[str, int]:
    """Returns the size of each kind of axis; raises if weights disagree."""
    found: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    found["layers"].append(("the numbers in the names", depth))
    for name, _, axes in table:
        shape = arrays[name].shape
        if len(shape) != len(axes):
            raise ValueError(f"weights[{name!r}] has shape {shape}, expected [{', '.join(axes)}]")
        for axis, size in zip(axes, shape, strict=True):
            found[axis].append((name, size))
    shared = found["shared width"][0][1]
    found["concatenated width"].append((f"{depth} layers of shared width {shared}", depth * shared))
    for axis, claims in found.items():
        if len({size for _, size in claims}) > 1:
            said = ", ".join(f"{size} by {name}" for name, size in claims)
            raise ValueError(f"weights disagree on the {axis}: {said}")
    return {axis: claims[0][1] for axis, claims in found.items()}
