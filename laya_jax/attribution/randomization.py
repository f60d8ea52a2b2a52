"""Parameters made random again, part by part: does attention notice?"""

import re
from collections.abc import Iterator

from flax.traverse_util import flatten_dict, unflatten_dict

from laya_jax.typing import Parameters

SCORER = ("psi_", "scorer_", "scores")
ADAPTERS = ("adapter_",)


def randomizations(parameters: Parameters, fresh: Parameters) -> Iterator[tuple[str, Parameters]]:
    """A classifier's parameters with one part after the other as they were before training.

    scorer: what gives the scores; adapters; both: the two together; then the layers of the backbone,
    cumulatively from the last to the first, the head as trained: "backbone from h3" has the third and all
    later ones made random.

    Args:
      parameters: of a ``Classifier``, trained.
      fresh: the same before training, of another seed.

    Yields:
      The name of what was made random, and the parameters.

    Reference: Adebayo et al. 2018, Sanity checks for saliency maps.

    >>> trained = {"head": {"scores": 1, "adapter_0": 1}, "backbone": {"dense_0": 1, "dense_1": 1}}
    >>> fresh = {"head": {"scores": 0, "adapter_0": 0}, "backbone": {"dense_0": 0, "dense_1": 0}}
    >>> dict(randomizations(trained, fresh))["backbone from h2"]["backbone"]
    {'dense_0': 1, 'dense_1': 0}
    """
    yield "scorer", _replaced(parameters, fresh, lambda path: path[0] == "head" and _starts(path[1], SCORER))
    yield (
        "adapters",
        _replaced(parameters, fresh, lambda path: path[0] == "head" and _starts(path[1], ADAPTERS)),
    )
    yield (
        "scorer and adapters",
        _replaced(
            parameters, fresh, lambda path: path[0] == "head" and _starts(path[1], (*SCORER, *ADAPTERS))
        ),
    )
    depths = {layer_number(name) for name in parameters["backbone"]}
    for depth in sorted(depths, reverse=True):
        where = f"backbone from h{depth + 1}" if depth >= 0 else "whole backbone"
        yield (
            where,
            _replaced(
                parameters,
                fresh,
                lambda path, depth=depth: path[0] == "backbone" and layer_number(path[1]) >= depth,
            ),
        )


def layer_number(name: str) -> int:
    """The layer that a backbone's module belongs to, from its name; -1 for what comes before all layers.

    >>> layer_number("dense_2"), layer_number("embedding")
    (2, -1)
    """
    number = re.search(r"_(\d+)$", name)
    return int(number[1]) if number else -1


def _starts(name: str, beginnings: tuple[str, ...]) -> bool:
    return name.startswith(beginnings)


def _replaced(parameters, fresh, chosen):  # type: ignore[no-untyped-def]
    old, new = flatten_dict(dict(parameters)), flatten_dict(dict(fresh))
    return unflatten_dict({path: new[path] if chosen(path) else leaf for path, leaf in old.items()})
