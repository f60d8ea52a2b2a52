"""Runs of Table 1, and comparisons of their accuracies with the paper's and between heads."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.configs import HEADS, MODULES, config_of
from experiments.lib.paper import SEEDS, TABLE_1
from experiments.lib.records import Job, select
from experiments.lib.statistics import Difference, Gap, compare_paired, compare_published, holm, summarize


def jobs_of(
    datasets: Sequence[str], heads: Sequence[str], seeds: int, epochs: int | None = None
) -> list[Job]:
    """Returns the runs that the table needs, with all heads of one seed before the next seed."""
    return [
        _job(dataset, head, seed, epochs) for dataset in datasets for seed in range(seeds) for head in heads
    ]


def _job(dataset: str, head: str, seed: int, epochs: int | None) -> Job:
    config = dataclasses.replace(config_of(dataset, head), seed=seed)
    if epochs is not None:
        config = dataclasses.replace(config, epochs=epochs)
    return Job(f"table1/{dataset}/{head}-seed{seed}", dataset, config)


def accuracies(records: Sequence[Mapping[str, Any]], dataset: str, head: str) -> dict[int, float]:
    """Returns the test accuracies of a head on a data set, by seed."""
    return {record["seed"]: record["test"]["accuracy"] for record in select(records, dataset, head)}


class Reproduced(NamedTuple):
    """Comparison of an accuracy in the paper with ours.

    Attributes:
      dataset: Name of the data set in ``experiments.configs``.
      head: Kind of the head.
      ours: Our mean accuracy over seeds.
      gap: Our mean minus the paper's; None if we have a single seed.
    """

    dataset: str
    head: str
    ours: float
    gap: Gap | None


def reproduced(records: Sequence[Mapping[str, Any]]) -> list[Reproduced]:
    """Compares every accuracy in the paper's Table 1 with our records, if there are any, in its order."""
    found = []
    for dataset, heads in TABLE_1.items():
        for head, paper in heads.items():
            mine = accuracies(records, dataset, head)
            if mine:
                ours = summarize([*mine.values()])
                gap = compare_published(ours, paper.accuracy, paper.deviation, SEEDS)
                found.append(Reproduced(dataset, head, ours.mean, gap))
    return found


def verdict(mean: float, low: float, high: float) -> str:
    """Locates our mean relative to the paper's interval, in a word.

    >>> verdict(0.88, 0.87, 0.89)
    'within'
    """
    return "below" if mean < low else "above" if mean > high else "within"


class Compared(NamedTuple):
    """Comparison of LAYA with another head on a data set.

    Attributes:
      dataset: Name of the data set in ``experiments.configs``.
      head: Kind of the other head.
      difference: LAYA's accuracy minus the other head's, paired by seed.
      p: p-value of the difference, corrected for the number of comparisons by Holm's method.
    """

    dataset: str
    head: str
    difference: Difference
    p: float

    @property
    def verdict(self) -> str:
        """LAYA's accuracy relative to the other head's if the difference is significant, in words."""
        if self.p >= 0.05:
            return "no significant difference"
        return "better" if self.difference.mean > 0 else "worse"


def comparisons(records: Sequence[Mapping[str, Any]]) -> list[Compared]:
    """Compares LAYA with each other head on every data set that has records."""
    found = {}
    for dataset in MODULES:
        laya = accuracies(records, dataset, "laya")
        for head in HEADS[:-1]:
            difference = compare_paired(laya, accuracies(records, dataset, head))
            if difference is not None:
                found[dataset, head] = difference
    corrected = holm([difference.p for difference in found.values()])
    return [Compared(*names, found[names], p) for names, p in zip(found, corrected, strict=True)]
