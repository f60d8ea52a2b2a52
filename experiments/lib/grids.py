"""Grids of Table 2: their settings, the records of each setting, and the significance of differences."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from experiments.configs import MODULES, config_of
from experiments.lib.records import Job, select
from experiments.lib.statistics import Summary, summarize
from laya_jax.training import HeadConfig

TUNED = ("laya", "concat", "scalar_mix")
SETTINGS = {"laya": ("dim", "temperature", "psi", "scorer_width"), "concat": ("dim",), "scalar_mix": ("dim",)}
SEEDS = 3


def grid(dataset: str, head: str) -> list[HeadConfig]:
    """Returns the settings of the grid of a data set and a head.

    >>> len(grid("fashion-mnist", "laya")), len(grid("imdb", "concat"))
    (36, 2)
    """
    values = MODULES[dataset].GRID
    if head != "laya":
        return [HeadConfig(kind=head, dim=dim) for dim in values["dim"]]  # type: ignore[arg-type]
    return [
        HeadConfig(dim=dim, temperature=temperature, psi=psi, scorer_width=times * dim)
        for dim, temperature, psi, times in itertools.product(*values.values())
    ]


def name_of(head: HeadConfig) -> str:
    """Returns the name of a setting.

    >>> name_of(HeadConfig(dim=96, temperature=1.5, scorer_width=192))
    'laya-dim96-temperature1.5-psi_identity-scorer_width192'
    """
    parts = []
    for setting in SETTINGS[head.kind]:
        value = getattr(head, setting)
        parts.append(f"{setting}_{value}" if isinstance(value, str) else f"{setting}{value}")
    return "-".join([head.kind, *parts])


def jobs_of(
    datasets: Sequence[str], heads: Sequence[str], seeds: int, epochs: int | None = None
) -> list[Job]:
    """Returns the runs of the grids, with all settings of one seed before the next seed."""
    jobs = []
    for dataset, seed, head in itertools.product(datasets, range(seeds), heads):
        for setting in grid(dataset, head):
            config = dataclasses.replace(config_of(dataset, head), head=setting, seed=seed)
            if epochs is not None:
                config = dataclasses.replace(config, epochs=epochs)
            jobs.append(Job(f"table2/{dataset}/{name_of(setting)}-seed{seed}", dataset, config))
    return jobs


Settings = dict[HeadConfig, dict[int, Mapping[str, Any]]]
"""Records of each setting, by seed."""


def by_setting(records: Sequence[Mapping[str, Any]], dataset: str, head: str) -> Settings:
    """Groups the records of one grid by setting and seed."""
    found: Settings = defaultdict(dict)
    for record in select(records, dataset, head):
        found[HeadConfig(**record["config"]["head"])][record["seed"]] = record
    return found


def comparable(settings: Settings, size: int) -> Settings:
    """Restricts the settings of a grid to a common set of seeds, so that they can be compared.

    The common seeds are those that every setting has finished. If there are none yet, seed 0 is used, and
    settings without it are left out.

    Args:
      settings: Records of the grid, by setting and seed.
      size: Number of settings in the grid.

    >>> records = {setting: {0: {}, 1: {}} for setting in grid("imdb", "concat")}
    >>> [sorted(runs) for runs in comparable(records, 2).values()]
    [[0, 1], [0, 1]]
    >>> len(comparable(records, 3))
    2
    """
    shared = set(range(SEEDS)).intersection(*settings.values()) if len(settings) == size else set()
    seeds = sorted(shared or {0})
    return {
        setting: {seed: runs[seed] for seed in seeds}
        for setting, runs in settings.items()
        if runs.keys() >= set(seeds)
    }


def accuracy(runs: Mapping[int, Mapping[str, Any]], split: str) -> float:
    """Computes the mean accuracy over seeds on a split."""
    return summarize([record[split]["accuracy"] for record in runs.values()]).mean


def validation(runs: Mapping[int, Mapping[str, Any]]) -> Summary:
    """Summarizes validation accuracy over seeds."""
    return summarize([record["validation"]["accuracy"] for record in runs.values()])


class Told(NamedTuple):
    """Significance of the differences between the settings of a grid.

    Attributes:
      as_good: Number of settings whose mean is at most one standard error below that of the best.
      error: Standard error of a setting's mean, pooled over all settings.
      p: p-value of the F test that all settings have the same mean.
    """

    as_good: int
    error: float
    p: float


def told_apart(settings: Settings) -> Told | None:
    """Tests differences in validation accuracy between settings; None for a single setting or seed."""
    values = [[record["validation"]["accuracy"] for record in runs.values()] for runs in settings.values()]
    if len(values) < 2 or len(values[0]) < 2:
        return None
    means = np.mean(values, axis=1)
    error = float(np.sqrt(np.mean(np.var(values, axis=1, ddof=1)) / len(values[0])))
    p = float(stats.f_oneway(*values).pvalue) if error else 0.0
    return Told(int(np.sum(means >= means.max() - error)), error, p)


def shown(head: HeadConfig) -> str:
    """Formats a setting for tables.

    >>> shown(HeadConfig(dim=96, temperature=1.5, scorer_width=192))
    'd* 96, temperature 1.5, psi identity, scorer width 192'
    """
    named = {"dim": "d*", "scorer_width": "scorer width"}
    return ", ".join(f"{named.get(name, name)} {getattr(head, name)}" for name in SETTINGS[head.kind])


def ranked(settings: Settings) -> list[HeadConfig]:
    """Sorts the settings by mean validation accuracy, best first."""
    return sorted(settings, key=lambda setting: accuracy(settings[setting], "validation"), reverse=True)
