"""Table 2: the paper's grid search, by mean validation accuracy over three seeds per setting.

    python -m experiments.table2 --datasets fashion-mnist       # trains missing runs of the grid
    python -m experiments.table2 --datasets cifar10 --heads concat scalar_mix
    python -m experiments.table2 --seeds 0                      # the tables of existing records

LAYA's grid is the paper's; for Concat and ScalarMix, d* is tuned over the same values. The record of each run
is written to ``results/table2/`` when it finishes, the tables to ``results/table2.*``, and the sensitivity to
each setting to ``results/figures/sensitivity-*``. If the command is interrupted or killed, running it again
continues.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.configs import MODULES, PAPER
from experiments.lib.command import errors_in_a_line, places_of, training_options
from experiments.lib.drawings import COLOUR, TITLES, save
from experiments.lib.grids import (
    SEEDS,
    SETTINGS,
    TUNED,
    Settings,
    accuracy,
    by_setting,
    comparable,
    grid,
    jobs_of,
    ranked,
    shown,
    told_apart,
    validation,
)
from experiments.lib.paper import TABLE_2
from experiments.lib.records import finished
from experiments.lib.runs import train_missing
from experiments.lib.tables import Table, write_tables
from laya_jax.attribution import STYLE
from laya_jax.training import HeadConfig


def best_table(records: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> Table:
    """Builds the table of the best setting of every grid, with the grid's progress."""
    table = Table(
        "Setting with the highest mean validation accuracy, over the seeds that all finished settings share",
        (
            "data set",
            "head",
            "finished settings",
            "seeds",
            "best setting",
            "validation",
            "paper's setting",
            "its validation",
            "its rank",
            "settings within one standard error of the best",
            "p for no difference between settings (F test)",
        ),
    )
    for dataset, head in itertools.product(datasets, TUNED):
        size = len(grid(dataset, head))
        whole = comparable(by_setting(records, dataset, head), size)
        order = ranked(whole)
        if not order:
            continue
        best, paper = order[0], HeadConfig(**TABLE_2.get(dataset, {})) if head == "laya" else None
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
            f"{order.index(paper) + 1}" if paper in whole else "",
            "" if told is None else str(told.as_good),
            "" if told is None else f"{told.p:.2g}",
        )
    return table


def grid_table(records: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> Table:
    """Builds the table of all settings, best first."""
    table = Table(
        "All settings, accuracy over seeds",
        ("data set", "head", "setting", "seeds", "validation", "test"),
    )
    for dataset, head in itertools.product(datasets, TUNED):
        settings = by_setting(records, dataset, head)
        for setting in ranked(settings):
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
    """Draws validation accuracy against each setting's values, one panel per setting, with means by value."""
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
            f"{TITLES[dataset]}{part}: one point per setting (mean over seeds), lines at their means{error}"
        )
        figure.suptitle(title, size=9, y=1.06)
        save(figure, folder / f"sensitivity-{dataset}")


def _value(setting: HeadConfig, name: str) -> Any:
    """Returns the value of a setting; the scorer's width is in units of d*."""
    if name == "scorer_width":
        return (setting.scorer_width or setting.dim) // setting.dim
    return getattr(setting, name)


def tables_of(records: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Builds the tables of the best settings and of all settings."""
    datasets = [dataset for dataset in MODULES if any(record["dataset"] == dataset for record in records)]
    return [best_table(records, datasets), grid_table(records, datasets)]


def draw(records: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Draws one figure for each data set with records of LAYA's grid."""
    for dataset in MODULES:
        settings = comparable(by_setting(records, dataset, "laya"), len(grid(dataset, "laya")))
        if settings:
            draw_sensitivity(settings, dataset, folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains missing runs of the grids, and writes the tables and figures."""
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
