"""Writes README.md of this folder: each item of the paper, its command, the paper's value, and ours.

    python -m experiments.readme

Also writes compact tables into pages of docs/.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import (
    artworks,
    faithfulness,
    label_noise,
    pilots,
    table1,
    table2,
)
from experiments.configs import HEADS, MODULES, PAPER
from experiments.configs.artworks import configs_of
from experiments.lib import frozen_tables, grids, head_accuracies, items, unique_head_tables
from experiments.lib.command import errors_in_a_line
from experiments.lib.drawings import TITLES
from experiments.lib.records import MOST_SEEDS, RESULTS, finished
from experiments.lib.tables import Table

README = Path(__file__).parent / "README.md"
DOCS = Path(__file__).parents[1] / "docs"
MARKS = "<!-- written by experiments.readme -->\n\n", "\n\n<!-- until here -->"

INTRODUCTION = """\
# The paper's experiments, reproduced

Results of *LAYA* (arXiv 2511.12723), the command that reproduces each one, and our values. This file is
written by `python -m experiments.readme` from the records in `results/`; no number in it is typed by hand.

## Where things are

| folder | contents |
| --- | --- |
| `.` | commands, each run as `python -m experiments.NAME` and described by its `--help` |
| `configs/` | settings to train with: for each data set, a config per head, the paper's grid, and pilots |
| `lib/` | shared code: runs and their records, statistics, tables, drawings, the paper's values |
| `benchmarks/` | speed measurements, each run as `python -m experiments.benchmarks.NAME` |
| `results/` | a folder of records per command, one JSON file per run; tables and figures made from them |

A command first trains the runs that have no record in `results/`, then builds its tables and figures from the
records alone; with `--seeds 0`, it trains nothing. If a command is killed, run it again to continue.

| command | reproduces or measures |
| --- | --- |
| `table1` | the paper's accuracies: four heads, three data sets, five seeds |
| `table2` | the paper's grid search |
| `figures` | Figures 1 and 2, from the records of `table1` |
| `artworks` | Figures 3 and 4: a frozen ViT on paintings; `--vit` and `--paintings` give the paths |
| `pilots` | the choice of the settings that the paper does not state |
| `faithfulness` | beyond the paper: how faithful LAYA's attention is |
| `label_noise` | beyond the paper: detection of wrong labels |
| `frozen` | beyond the paper: every head on frozen backbones, with an equal tuning budget |
| `unique_head` | beyond the paper: heads solved in closed form, whose contributions are unique |
| `kill_and_resume` | every command when killed at random moments, compared byte by byte |
| `fuzz` | every command on randomly damaged files |
| `readme` | writes this file, and tables in `docs/` |

All of them need `pip install -e ".[train]"`.

The IMDB records were made from the same 50,000 labelled reviews, but in a different order from the one in
which tensorflow-datasets (and therefore `laya prepare imdb`) writes them. With `split="last"`, the validation
split on a fresh machine is therefore a different tenth of the training reviews; the test split is the same.
"""

HOW_CHOSEN = """\
The widths and batch size for CIFAR-10, and the learning rate and the end of a review that is read for IMDB,
were the best on validation among the pilots below, all of which were runs of LAYA. The learning rate for
Fashion-MNIST comes from the author's notebook, and the one for CIFAR-10 is the highest in the paper. concat
and scalar_mix use the d* of the paper's LAYA. If any of this favours a head, it favours LAYA. CIFAR-10
departs from the paper: it is trained for fewer epochs, to keep runs short, and its learning rate has warm-up
and cosine decay, because LAYA collapsed on one of the pilots' seeds without warm-up."""

SCOPE = """\
All seeds of a data set share one split and one test set, so intervals describe the variation between
training runs, not between data sets."""

BEYOND = {
    "artworks": (
        "Figures 3 and 4: artworks",
        "The paintings differ from the paper's, and the backbone is a ViT-S/14. The recommended training is "
        "that of the frozen backbones below.",
    ),
    "frozen": (
        "Beyond the paper: frozen backbones",
        "Every head, trained on the same hidden states. Six settings were tried for each; the chosen "
        "learning rate is marked where a better one may lie outside the range tried.",
    ),
    "unique_head": (
        "Beyond the paper: a head with unique contributions",
        "Heads solved in closed form on a frozen ViT's hidden states of the paintings. The heads above, "
        "which are trained by gradient descent, were tuned on one draw and on unstandardised states; here, "
        "all heads have five settings per draw and the same standardised states.",
    ),
    "faithfulness": (
        "Beyond the paper: how faithful attention is",
        "Measurements by `laya attribute` on runs of LAYA with the configs of Table 1. With two layers, as "
        "on IMDB, it follows by construction that Shapley values rank layers in the same way as leaving "
        "them out, and that sufficiency equals comprehensiveness.",
    ),
    "label_noise": (
        "Beyond the paper: wrong labels",
        "Detection of wrong labels by attention and by logits.",
    ),
}
"""Headings and introductions of the sections after the paper's two tables, by name of the tables."""

Records = Sequence[Mapping[str, Any]]


def table1_records(results: Path) -> Records:
    """Reads all finished records of Table 1."""
    return finished(head_accuracies.jobs_of([*MODULES], HEADS, MOST_SEEDS), results)


def table2_records(results: Path) -> Records:
    """Reads all finished records of Table 2."""
    return finished(grids.jobs_of([*MODULES], grids.TUNED, grids.SEEDS), results)


def artworks_records(results: Path) -> dict[str, Records]:
    """Reads all finished records of the artworks, by training recipe."""
    return artworks.records_of(configs_of(), results)


def artworks_tables(results: Path) -> list[Table]:
    """Builds the table of the artworks, if there are records."""
    by_way = artworks_records(results)
    return [artworks.table_of(by_way)] if by_way else []


TABLES: Mapping[str, Callable[[Path], list[Table]]] = {
    "table1": lambda results: table1.tables_of(table1_records(results)),
    "table2": lambda results: table2.tables_of(table2_records(results)),
    "pilots": lambda results: [pilots.table_of(finished(pilots.jobs_of(pilots.PILOTED), results))],
    "artworks": artworks_tables,
    "frozen": frozen_tables.tables_of,
    "unique_head": unique_head_tables.tables_of,
    "faithfulness": faithfulness.STUDY.tables,
    "label_noise": label_noise.STUDY.tables,
}
"""Functions that build the tables of each script from its records, by name."""


def figures(folder: Path) -> str:
    """Links all figures of a folder in Markdown."""
    paths = sorted(folder.glob("*.png"), key=lambda path: path.stem)
    return "\n\n".join(f"![{path.stem}](results/figures/{path.name})" for path in paths)


def make(results: Path) -> str:
    """Builds the text of the README."""
    records, of_grids = table1_records(results), table2_records(results)
    parts = [
        INTRODUCTION,
        "## What was reproduced, what was not, and what was not run",
        items.summary(records, of_grids),
        items.items(records, of_grids, artworks_records(results)).as_markdown(),
        "## How it was trained",
        items.protocol().as_markdown(),
        HOW_CHOSEN,
        *_markdown("pilots", results),
        "## Table 1",
        *_markdown("table1", results),
        SCOPE,
        "## Table 2",
        # The table of all settings is too long for a README.
        *_markdown("table2", results)[:1],
        "All settings are in `results/table2.md`.",
    ]
    for name, (heading, first) in BEYOND.items():
        parts += [f"## {heading}", first, *_markdown(name, results)]
    parts += ["## Figures", figures(results / "figures")]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _markdown(name: str, results: Path) -> list[str]:
    return [table.as_markdown() for table in TABLES[name](results)]


def glance(records: Records) -> Table:
    """Builds a compact Table 1: the accuracy of every head next to the paper's, and LAYA's paired tests."""
    table = Table(
        "Test accuracy over seeds, mean ± standard deviation, and the paper's in parentheses",
        ("data set", *HEADS, "LAYA in paired tests, corrected for multiple comparisons"),
    )
    compared = [each for each in head_accuracies.comparisons(records) if each.dataset in PAPER]
    for dataset in PAPER:
        of_heads = [items.accuracy(records, dataset, head) for head in HEADS]
        mine = [each for each in compared if each.dataset == dataset]
        differ = [f"{each.verdict} than {each.head}" for each in mine if each.p < 0.05]
        table.add(
            TITLES[dataset],
            *(f"{ours or '?'} ({theirs})" for theirs, ours, _ in of_heads),
            ", ".join(differ) or "no significant difference" * bool(mine),
        )
    return table


PAGES: Mapping[str, Callable[[Path], Table]] = {
    "measured.md": lambda results: glance(table1_records(results)),
    "guides/unique.md": unique_head_tables.glance,
}
"""Functions that build the table between the marks of a page of the documentation, by the page's path."""


def with_glance(text: str, table: Table, page: str) -> str:
    """Inserts a table between the marks of a page, in place of the previous one.

    Raises:
      ValueError: The marks are missing.
    """
    before, start, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (start and end):
        raise ValueError(f"{page} has no marks {MARKS[0].strip()} and {MARKS[1].strip()}")
    return before + start + table.as_markdown() + end + after


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the README of this folder, and the documentation's tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(arguments)
    with errors_in_a_line("readme"):
        write()
    print(f"written to {README} and {DOCS}")


def write() -> None:
    """Writes the README, and the documentation's tables.

    Raises:
      ValueError: A record has a different config, or the documentation lacks the marks.
    """
    README.write_text(make(RESULTS), encoding="utf-8")
    for page, table in PAGES.items():
        text = (DOCS / page).read_text(encoding="utf-8")
        (DOCS / page).write_text(with_glance(text, table(RESULTS), page), encoding="utf-8")


if __name__ == "__main__":
    main()
