"""Figures 1 and 2: LAYA's attention over all test examples and by class, drawn from saved records alone.

    python -m experiments.figures
    python -m experiments.figures --datasets fashion-mnist

Figure 1 shows the mean attention on each data set. Figure 2 shows class x layer heatmaps of all, correct and
wrong predictions, averaged over the seeds. A further figure, not in the paper, shows one heatmap per seed,
because seeds differ. Figures are written to ``results/figures/`` as PNG and PDF.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.configs import MODULES
from experiments.lib.command import errors_in_a_line
from experiments.lib.drawings import (
    GROUPS,
    TITLES,
    Records,
    belief,
    class_profile,
    figure_1,
    figure_2,
    flips,
    save,
)
from experiments.lib.head_accuracies import jobs_of
from experiments.lib.records import MOST_SEEDS, RESULTS, finished
from laya_jax.attribution import STYLE

SEEDS_TITLE = (
    "all test examples, by seed\n"
    "below each seed: predictions that change without their layer of most attention / without another one"
)
CLASS_NAMES = {
    "cifar10": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    "imdb": ["negative", "positive"],
}
"""Class names by label, for data sets whose own names are numbers or abbreviations."""


def _seed_title(record: Mapping[str, Any]) -> str:
    return f"seed {record['seed']}\n{' / '.join(flips([record]))}"


def draw(by_dataset: Mapping[str, Records], folder: Path) -> list[Path]:
    """Draws and writes all figures; returns their paths without suffix."""
    import matplotlib as mpl

    mpl.use("Agg")
    paths = [folder / "figure1"]
    with mpl.rc_context(STYLE):
        save(figure_1(by_dataset), paths[0])
        for dataset, records in by_dataset.items():
            names = CLASS_NAMES.get(dataset) or records[0]["class_names"]
            groups = {title: class_profile(records, group) for group, title in GROUPS.items()}
            seeds = {_seed_title(record): class_profile([record], "all") for record in records}
            for path, heatmaps, title in (
                (folder / f"figure2-{dataset}", groups, f"mean over {len(records)} seeds\n{belief(records)}"),
                (folder / f"figure2-{dataset}-seeds", seeds, SEEDS_TITLE),
            ):
                save(figure_2(heatmaps, names, f"{TITLES[dataset]}, {title}"), path)
                paths.append(path)
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws the figures of all existing records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", choices=MODULES, default=[*MODULES])
    parser.add_argument("--epochs", type=int, help="number of epochs given to table1, if any")
    parser.add_argument("--results", type=Path, default=RESULTS, help="path of the folder of records")
    asked = parser.parse_args(arguments)
    with errors_in_a_line("figures"):
        records = {
            dataset: finished(jobs_of([dataset], ["laya"], MOST_SEEDS, asked.epochs), asked.results)
            for dataset in asked.datasets
        }
        there = {dataset: mine for dataset, mine in records.items() if mine}
        if not there:
            raise ValueError(f"no records in {asked.results}; python -m experiments.table1 makes them")
        for path in draw(there, asked.results / "figures"):
            print(f"{path}.png, .pdf")


if __name__ == "__main__":
    main()
