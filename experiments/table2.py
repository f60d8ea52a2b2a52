"""Table 2: the paper's grid search, by mean validation accuracy over three seeds a setting.

    python -m experiments.table2 --datasets fashion-mnist       # trains what is missing of the grid
    python -m experiments.table2 --datasets cifar10 --heads concat scalar_mix
    python -m experiments.table2 --seeds 0                      # the table of what there is

LAYA's grid is the paper's; of Concat and ScalarMix, d* is tuned over the same values. Every run is written to
``results/table2/`` when it finishes, the tables to ``results/table2.*``, and how much each setting matters to
``results/figures/sensitivity-*``. Interrupted or killed, the same command goes on.
"""

import argparse
import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from experiments.command import errors_in_a_line, places_of, training_options
from experiments.configs import MODULES, PAPER, config_of
from experiments.figures import COLOUR, STYLE, TITLES, save
from experiments.paper import TABLE_2
from experiments.records import Job, finished, select
from experiments.runs import train_missing
from experiments.statistics import Summary, summarize
from experiments.tables import Table, write_tables
from laya_jax.training import HeadConfig

TUNED = ("laya", "concat", "scalar_mix")
SETTINGS = {"laya": ("dim", "temperature", "psi", "scorer_width"), "concat": ("dim",), "scalar_mix": ("dim",)}
SEEDS = 3


def grid(dataset: str, head: str) -> list[HeadConfig]:
    """The settings that are compared.

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
    """A setting's name.

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
    """The runs of the grids, all settings of a seed before the next seed."""
    jobs = []
    for dataset, seed, head in itertools.product(datasets, range(seeds), heads):
        for setting in grid(dataset, head):
            config = dataclasses.replace(config_of(dataset, head), head=setting, seed=seed)
            if epochs is not None:
                config = dataclasses.replace(config, epochs=epochs)
            jobs.append(Job(f"table2/{dataset}/{name_of(setting)}-seed{seed}", dataset, config))
    return jobs


Settings = dict[HeadConfig, dict[int, Mapping[str, Any]]]
"""The records of each setting, by seed."""


def by_setting(records: Sequence[Mapping[str, Any]], dataset: str, head: str) -> Settings:
    """The records of one grid."""
    found: Settings = defaultdict(dict)
    for record in select(records, dataset, head):
        found[HeadConfig(**record["config"]["head"])][record["seed"]] = record
    return found


def comparable(settings: Settings, size: int) -> Settings:
    """The settings of a grid with the seeds on which they can be compared: the same for each.

    These are the seeds that all settings have finished; before there is one, the first seed of those that
    have it.

    Args:
      settings: the records of a grid.
      size: how many settings it has.

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
    """Mean over the seeds."""
    return summarize([record[split]["accuracy"] for record in runs.values()]).mean


def validation(runs: Mapping[int, Mapping[str, Any]]) -> Summary:
    """Validation accuracy over the seeds."""
    return summarize([record["validation"]["accuracy"] for record in runs.values()])


class Told(NamedTuple):
    """How far a grid tells its settings apart.

    Attributes:
      as_good: settings whose mean is at most a standard error, pooled over all, below that of the best.
      error: that standard error.
      p: of the F test that all settings have the same mean.
    """

    as_good: int
    error: float
    p: float


def told_apart(settings: Settings) -> Told | None:
    """How far validation tells settings apart; None for one setting or one seed."""
    values = [[record["validation"]["accuracy"] for record in runs.values()] for runs in settings.values()]
    if len(values) < 2 or len(values[0]) < 2:
        return None
    means = np.mean(values, axis=1)
    error = float(np.sqrt(np.mean(np.var(values, axis=1, ddof=1)) / len(values[0])))
    p = float(stats.f_oneway(*values).pvalue) if error else 0.0
    return Told(int(np.sum(means >= means.max() - error)), error, p)


def shown(head: HeadConfig) -> str:
    """A setting as tables show it.

    >>> shown(HeadConfig(dim=96, temperature=1.5, scorer_width=192))
    'd* 96, temperature 1.5, psi identity, scorer width 192'
    """
    named = {"dim": "d*", "scorer_width": "scorer width"}
    return ", ".join(f"{named.get(name, name)} {getattr(head, name)}" for name in SETTINGS[head.kind])


def best_table(records: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> Table:
    """The best setting of every grid, and how far the grid has come."""
    table = Table(
        "Setting of highest mean validation accuracy, over the seeds that all settings done have",
        (
            "data set",
            "head",
            "settings done",
            "seeds",
            "best setting",
            "validation",
            "paper's setting",
            "validation of that",
            "its rank",
            "settings within a standard error of the best",
            "p that no setting differs (F test)",
        ),
    )
    for dataset, head in itertools.product(datasets, TUNED):
        size = len(grid(dataset, head))
        whole = comparable(by_setting(records, dataset, head), size)
        ranked = sorted(whole, key=lambda setting: accuracy(whole[setting], "validation"), reverse=True)
        if not ranked:
            continue
        best, paper = ranked[0], HeadConfig(**TABLE_2.get(dataset, {})) if head == "laya" else None
        told = told_apart(whole)
        table.add(
            dataset,
            head,
            f"{len(whole)} of {size}",
            f"{len(whole[best])} of {SEEDS}",
            shown(best),
            str(validation(whole[best])),
            "" if paper is None else shown(paper),
            str(validation(whole[paper])) if paper in whole else "",
            f"{ranked.index(paper) + 1}" if paper in whole else "",
            "" if told is None else str(told.as_good),
            "" if told is None else f"{told.p:.2g}",
        )
    return table


def grid_table(records: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> Table:
    """Every setting, best first."""
    table = Table(
        "All settings, accuracy over seeds",
        ("data set", "head", "setting", "seeds", "validation", "test"),
    )
    for dataset, head in itertools.product(datasets, TUNED):
        settings = by_setting(records, dataset, head)
        for setting in sorted(settings, key=lambda of: accuracy(settings[of], "validation"), reverse=True):
            runs = settings[setting]
            table.add(
                dataset,
                head,
                shown(setting),
                str(len(runs)),
                str(validation(runs)),
                f"{accuracy(runs, 'test'):.4f}",
            )
    return table


def draw_sensitivity(settings: Settings, dataset: str, folder: Path) -> None:
    """A panel per setting: each of its values, with the mean validation accuracy of all that share it."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    scores = {setting: accuracy(runs, "validation") for setting, runs in settings.items()}
    names = SETTINGS["laya"]
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(names), figsize=(2.2 * len(names), 2.4), sharey=True)
        for panel, name in zip(panels, names, strict=True):
            values = {setting: _value(setting, name) for setting in scores}
            order = sorted(set(values.values()))
            for place, value in enumerate(order):
                mine = [scores[setting] for setting in scores if values[setting] == value]
                panel.plot([place] * len(mine), mine, ".", color=COLOUR, alpha=0.5, ms=5)
                panel.plot(place, np.mean(mine), "_", color="black", ms=18)
            labels = [f"{value} d*" if name == "scorer_width" else str(value) for value in order]
            panel.set_xticks(range(len(order)), labels)
            panel.set_xlim(-0.5, len(order) - 0.5)
            panel.set_title({"dim": "d*"}.get(name, name.replace("_", " ")))
        panels[0].set_ylabel("validation accuracy")
        told = told_apart(settings)
        error = "" if told is None else f"; standard error of a point {told.error:.4f}"
        size = len(grid(dataset, "laya"))
        part = "" if len(settings) == size else f", {len(settings)} of {size} settings"
        title = (
            f"{TITLES[dataset]}{part}: a point per setting (mean over seeds), a line for their mean{error}"
        )
        figure.suptitle(title, size=9, y=1.06)
        save(figure, folder / f"sensitivity-{dataset}")


def _value(setting: HeadConfig, name: str) -> Any:
    """A setting's value; the scorer's width in units of d*."""
    if name == "scorer_width":
        return (setting.scorer_width or setting.dim) // setting.dim
    return getattr(setting, name)


def tables_of(records: Sequence[Mapping[str, Any]]) -> list[Table]:
    """The best settings, and all of them."""
    datasets = [dataset for dataset in MODULES if any(record["dataset"] == dataset for record in records)]
    return [best_table(records, datasets), grid_table(records, datasets)]


def draw(records: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """A figure for each data set that LAYA's grid has records of."""
    for dataset in MODULES:
        settings = comparable(by_setting(records, dataset, "laya"), len(grid(dataset, "laya")))
        if settings:
            draw_sensitivity(settings, dataset, folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing of the grids, and makes the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", choices=MODULES, default=PAPER)
    parser.add_argument("--heads", nargs="+", choices=TUNED, default=TUNED)
    training_options(parser, seeds=SEEDS)
    asked = parser.parse_args(arguments)
    with errors_in_a_line("table2"):
        places = places_of(asked)
        if asked.seeds > SEEDS:
            raise ValueError(
                f"seeds is {asked.seeds}, expected at most {SEEDS}, which settings are compared on"
            )
        train_missing(jobs_of(asked.datasets, asked.heads, asked.seeds, asked.epochs), places)
        records = finished(jobs_of([*MODULES], TUNED, SEEDS, asked.epochs), places.results)
        tables = tables_of(records)
        write_tables(tables, places.results / "table2")
        draw(records, places.results / "figures")
    for table in tables:
        print(f"\n{table.as_text()}")


if __name__ == "__main__":
    main()
