"""Lists of layers in words."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

MOST = 0.5
"""Fraction of a profile that the layers a head mainly reads must reach together."""


def most_read(mean: Sequence[float]) -> list[int]:
    """Returns the fewest layers that make up half of a profile, counted from 1, in order of depth.

    >>> most_read([0.1, 0.4, 0.2, 0.3])
    [2, 4]
    """
    ranked = np.argsort(-np.asarray(mean), kind="stable")
    number = int(np.searchsorted(np.cumsum(np.asarray(mean)[ranked]), MOST - 1e-9)) + 1
    return sorted((ranked[:number] + 1).tolist())


def in_words(layers: Sequence[int]) -> str:
    """Lists layers in words, with ranges.

    >>> in_words([2]), in_words([2, 4]), in_words([1, 5, 6, 7])
    ('layer 2', 'layers 2 and 4', 'layers 1 and 5 to 7')
    """
    runs: list[list[int]] = [[layers[0]]]
    for before, layer in pairwise(layers):
        if layer == before + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    # Two neighbours are listed one by one: "8 and 9" reads better than "8 to 9".
    parts = [part for run in runs for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    return f"{'layer' if len(layers) == 1 else 'layers'} {joined(parts)}"


def joined(parts: Iterable[str]) -> str:
    """Joins words with commas and "and".

    >>> joined(["a", "b", "c"]), joined(["a"])
    ('a, b and c', 'a')
    """
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last
