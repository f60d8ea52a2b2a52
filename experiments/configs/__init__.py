"""The paper's experiments: for each data set, a module with one config per head."""

from collections.abc import Callable, Mapping
from types import ModuleType

from experiments.configs import cifar10, digits, fashion_mnist, imdb
from laya_jax.training import Config

HEADS = ("last_layer", "concat", "scalar_mix", "laya")
"""Kinds of heads, in the order of the paper's Table 1."""

MODULES: Mapping[str, ModuleType] = {
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
    "imdb": imdb,
    "digits": digits,
}

PAPER = ("fashion-mnist", "cifar10", "imdb")
"""Names of the paper's data sets."""


def config_of(dataset: str, head: str) -> Config:
    """Returns the config of a data set and a head.

    >>> config_of("fashion-mnist", "laya").head.temperature
    1.5
    """
    make: Callable[[], Config] = getattr(MODULES[dataset], head)
    return make()
