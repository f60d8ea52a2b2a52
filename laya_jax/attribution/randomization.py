"""Sanity checks: parameters randomised part by part."""

import re
from collections.abc import Callable, Iterator
from functools import partial

from laya_jax.typing import Parameters

SCORER = ("psi_", "scorer_", "scores")
ADAPTERS = ("adapter_",)


def randomizations(parameters: Parameters, fresh: Parameters) -> Iterator[tuple[str, Parameters]]:
    """Yields a classifier's parameters with one part after another randomised.

    First come the parts of the head, as far as it has them: scorer, adapters, both. Then come the layers of
    the backbone, cumulatively from last to first with the head as trained: "backbone from h3" randomises the
    third layer and all later ones.

    Args:
      parameters: Trained parameters of a ``Classifier``.
      fresh: Parameters initialised with another seed, and without ``uniform_start``: with a scorer of zeros,
        attention is the same for all samples and cannot be compared.

    Yields:
      Name of the randomised part, and the parameters.

    Reference: Adebayo et al. 2018, Sanity checks for saliency maps.

    >>> head = {"scores": 1, "adapter_0": 1, "adapter_1": 1}
    >>> trained = {"head": head, "backbone": {"dense_0": 1, "dense_1": 1}}
    >>> fresh = {"head": dict.fromkeys(head, 0), "backbone": {"dense_0": 0, "dense_1": 0}}
    >>> dict(randomizations(trained, fresh))["backbone from h2"]["backbone"]
    {'dense_0': 1, 'dense_1': 0}
    """
    present = {"scorer": SCORER, "adapters": ADAPTERS}
    present = {
        part: names
        for part, names in present.items()
        if any(map(partial(_starts, names), parameters["head"]))
    }
    if len(present) == 2:
        present["scorer and adapters"] = (*SCORER, *ADAPTERS)
    for part, names in present.items():
        yield part, _replaced(parameters, fresh, "head", partial(_starts, names))
    depths = {layer_number(name) for name in parameters.get("backbone", ())}
    # If the input counts as a hidden state, the first layer produces the second hidden state.
    before = sum(name.startswith(ADAPTERS) for name in parameters["head"]) - max(depths, default=0) - 1
    for depth in sorted(depths, reverse=True):
        part = f"backbone from h{before + depth + 1}" if depth >= 0 else "whole backbone"
        yield part, _replaced(parameters, fresh, "backbone", partial(_is_after, depth))


def layer_number(name: str) -> int:
    """Returns the layer that a backbone's module belongs to, by its name; -1 if it precedes all layers.

    >>> layer_number("dense_2"), layer_number("embedding")
    (2, -1)
    """
    number = re.search(r"_(\d+)$", name)
    return int(number[1]) if number else -1


def _starts(names: tuple[str, ...], name: str) -> bool:
    return name.startswith(names)


def _is_after(depth: int, name: str) -> bool:
    return layer_number(name) >= depth


def _replaced(
    parameters: Parameters, fresh: Parameters, part: str, chosen: Callable[[str], bool]
) -> Parameters:
    mixed = {name: (fresh if chosen(name) else parameters)[part][name] for name in parameters[part]}
    return {**parameters, part: mixed}
