"""Settings that ``experiments.unique_head`` tries for the heads that are trained by gradients.

Each has five settings, as many as the heads in closed form have penalties.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from experiments.configs.frozen import REMEDIED
from laya_jax.training import HeadConfig

EPOCHS = 40


class Trained(NamedTuple):
    """Setting of a head that is trained by gradients.

    Attributes:
      head: Config of the head.
      rate: Peak learning rate.
      smoothing: Label smoothing factor.
    """

    head: HeadConfig
    rate: float
    smoothing: float


def _settings(head: HeadConfig) -> tuple[Trained, ...]:
    dropped = dataclasses.replace(head, dropout=0.5, layer_dropout=0.15)
    return (
        Trained(head, 1e-3, 0.3),
        Trained(dropped, 1e-3, 0.3),
        Trained(dropped, 2e-3, 0.0),
        Trained(dropped, 2e-3, 0.1),
        Trained(dropped, 2e-3, 0.3),
    )


TRAINED: Mapping[str, tuple[Trained, ...]] = {
    "scalar mix": _settings(HeadConfig(kind="scalar_mix")),
    "concat": _settings(HeadConfig(kind="concat")),
    "laya": _settings(HeadConfig()),
    "laya, recommended": _settings(dataclasses.replace(REMEDIED, layer_normalized=False)),
}
"""Settings of each head. All read standardised hidden states, so none standardises them again."""
