"""Parameters made random again, part by part: does attention notice?"""

import re
from collections.abc import Callable, Iterator
from functools import partial

from laya_jax.typing import Parameters

SCORER = ("psi_", "scorer_", "scores")
ADAPTERS = ("adapter_",)


def randomizations(parameters: Parameters, fresh: Parameters) -> Iterator[tuple[str, Parameters]]:
    """A classifier's parameters with one part after the other drawn anew.

    First the parts of the head: scorer, adapters, both. Then the layers of the backbone, cumulatively from
    the last to the first, the head as trained: "backbone from h3" has the third and all later ones random.

    Args:
      parameters: of a ``Classifier``, trained.
      fresh: the same, drawn with another seed; of a head with ``uniform_start`` from one without, for the
        attention of a scorer of zeros is the same for all samples and cannot be compared.

    Yields:
      The name of what was made random, and the parameters.

    Reference: Adebayo et al. 2018, Sanity checks for saliency maps.

    >>> head = {"scores": 1, "adapter_0": 1, "adapter_1": 1}
    >>> trained = {"head": head, "backbone": {"dense_0": 1, "dense_1": 1}}
    >>> fresh = {"head": dict.fromkeys(head, 0), "backbone": {"dense_0": 0, "dense_1": 0}}
    >>> dict(randomizations(trained, fresh))["backbone from h2"]["backbone"]
    {'dense_0': 1, 'dense_1': 0}
    """
    of_head = {"scorer": SCORER, "adapters": ADAPTERS, "scorer and adapters": (*SCORER, *ADAPTERS)}
    for part, names in of_head.items():
        yield part, _replaced(parameters, fresh, "head", partial(_starts, names))
    depths = {layer_number(name) for name in parameters.get("backbone", ())}
    # What a network reads first may be a hidden state, too: then its first layer makes the second one.
    before = sum(name.startswith(ADAPTERS) for name in parameters["head"]) - max(depths, default=0) - 1
    for depth in sorted(depths, reverse=True):
        part = f"backbone from h{before + depth + 1}" if depth >= 0 else "whole backbone"
        yield part, _replaced(parameters, fresh, "backbone", partial(_is_after, depth))


def layer_number(name: str) -> int:
    """The layer that a backbone's module belongs to, from its name; -1 for what comes before all layers.

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
