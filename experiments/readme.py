"""Writes README.md of this folder: each item of the paper, its command, the paper's value, and ours.

The README of the repository gets Table 1 at a glance, the docstrings of the configs what was measured.

python -m experiments.readme
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import (
    artworks,
    faithfulness,
    frozen_tables,
    grids,
    items,
    label_noise,
    pilots,
    table1,
    table2,
)
from experiments.command import errors_in_a_line
from experiments.configs import HEADS, MODULES, PAPER
from experiments.figures import TITLES
from experiments.records import MOST_SEEDS, RESULTS, fastest_epoch, finished, select
from experiments.statistics import summarize
from experiments.tables import Table

README = Path(__file__).parent / "README.md"
FRONT = Path(__file__).parents[1] / "README.md"
"""README of the repository, which shows Table 1 at a glance between two marks."""
MARKS = "<!-- written by experiments.readme -->\n\n", "\n\n<!-- until here -->"

INTRODUCTION = """\
# The paper's experiments, again

What *LAYA* (arXiv 2511.12723) reports, the command that makes it here, and what came out. This file is
written by `python -m experiments.readme` from the records in `results/`; no number in it is typed by hand.

    pip install -e ".[train]"
    python -m experiments.table1     # trains what is missing; interrupted or killed, the same command goes on
    python -m experiments.table2
    python -m experiments.figures        # from the records alone
    python -m experiments.faithfulness   # beyond the paper: how far LAYA's attention can be believed
    python -m experiments.label_noise    # and whether it finds wrong labels
    python -m experiments.artworks       # Figures 3 and 4; --vit and --paintings say where things are
    python -m experiments.frozen         # beyond the paper: every head on frozen backbones, tuned alike
    python -m experiments.readme
"""

HOW_CHOSEN = """\
CIFAR-10's widths and batch size, and IMDB's learning rate and which end of a review is read, are the best
on validation of the pilots below, which were runs of LAYA alone; Fashion-MNIST's learning rate is that of the
author's notebook, CIFAR-10's the paper's highest. concat and scalar_mix have the d* of the paper's LAYA. If
any of this favours a head, it is LAYA. CIFAR-10 departs from what the paper states: fewer epochs, to keep a
run short, and a learning rate that falls along a cosine, after it has risen, for without that LAYA collapsed
with one of the pilots' seeds."""

SCOPE = """\
All seeds of a data set share one split and one test set: intervals tell how runs differ that are trained
again, not what other data would give."""

BEYOND = {
    "artworks": (
        "Figures 3 and 4: artworks",
        "Other paintings than the paper's, and a ViT-S/14. The recommended training is that of the frozen "
        "backbones below.",
    ),
    "frozen": (
        "Beyond the paper: frozen backbones",
        "Every head on the same hidden states. Six settings were tried of each, of which the chosen learning "
        "rate is marked where a better one may lie beyond those tried.",
    ),
    "faithfulness": (
        "Beyond the paper: how far attention can be believed",
        "What `laya attribute` measures of LAYA's runs, with Table 1's configs. Of two layers, as IMDB has, "
        "Shapley values rank as leaving out does, and sufficiency is comprehensiveness, by construction.",
    ),
    "label_noise": ("Beyond the paper: wrong labels", "Whether attention finds them."),
}
"""Heading and first sentence of the tables that follow the paper's two."""

Records = Sequence[Mapping[str, Any]]


def table1_records(results: Path) -> Records:
    """Those of Table 1."""
    return finished(table1.jobs_of([*MODULES], HEADS, MOST_SEEDS), results)


def table2_records(results: Path) -> Records:
    """Those of Table 2."""
    return finished(grids.jobs_of([*MODULES], grids.TUNED, grids.SEEDS), results)


def artworks_tables(results: Path) -> list[Table]:
    """That of the artworks, if there are records."""
    by_way = artworks.records_of(artworks.configs_of(artworks.VIT, artworks.PAINTINGS), results)
    return [artworks.table_of(by_way)] if by_way else []


TABLES: Mapping[str, Callable[[Path], list[Table]]] = {
    "table1": lambda results: table1.tables_of(table1_records(results)),
    "table2": lambda results: table2.tables_of(table2_records(results)),
    "pilots": lambda results: [pilots.table_of(finished(pilots.jobs_of(pilots.PILOTED), results))],
    "artworks": artworks_tables,
    "frozen": frozen_tables.tables_of,
    "faithfulness": faithfulness.STUDY.tables,
    "label_noise": label_noise.STUDY.tables,
}
"""The tables of every script, from its records."""


def figures(folder: Path) -> str:
    """The figures that there are."""
    paths = sorted(folder.glob("*.png"), key=lambda path: path.stem)
    return "\n\n".join(f"![{path.stem}](results/figures/{path.name})" for path in paths)


def make(results: Path) -> str:
    """The text of the README."""
    records, of_grids = table1_records(results), table2_records(results)
    parts = [
        INTRODUCTION,
        "## What was reproduced, what was not, and what was not run",
        items.summary(records, of_grids),
        items.items(records, of_grids, results).as_markdown(),
        "## How it was trained",
        items.protocol().as_markdown(),
        HOW_CHOSEN,
        *_markdown("pilots", results),
        "## Table 1",
        *_markdown("table1", results),
        SCOPE,
        "## Table 2",
        # The grids have more settings than a README should show.
        *_markdown("table2", results)[:1],
        "All settings: `results/table2.md`.",
    ]
    for name, (heading, first) in BEYOND.items():
        parts += [f"## {heading}", first, *_markdown(name, results)]
    parts += ["## Figures", figures(results / "figures")]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _markdown(name: str, results: Path) -> list[str]:
    return [table.as_markdown() for table in TABLES[name](results)]


def glance(records: Records) -> Table:
    """Accuracy of every head beside the paper's, and what paired tests say of LAYA."""
    table = Table(
        "Test accuracy over seeds, mean ± standard deviation, and the paper's in parentheses",
        ("data set", *HEADS, "LAYA by paired tests, corrected for their number"),
    )
    compared = [each for each in table1.comparisons(records) if each.dataset in PAPER]
    for dataset in PAPER:
        of_heads = [items.accuracy(records, dataset, head) for head in HEADS]
        mine = [each for each in compared if each.dataset == dataset]
        differ = [f"{each.verdict} than {each.head}" for each in mine if each.p < 0.05]
        table.add(
            TITLES[dataset],
            *(f"{ours or '?'} ({theirs})" for theirs, ours, _ in of_heads),
            ", ".join(differ) or "no difference shown" * bool(mine),
        )
    return table


def with_glance(text: str, table: Table) -> str:
    """The text of the repository's README with this table.

    Raises:
      ValueError: the marks are not there.
    """
    before, start, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (start and end):
        raise ValueError(f"{FRONT} has no marks {MARKS[0].strip()} and {MARKS[1].strip()}")
    return before + start + table.as_markdown() + end + after


def measured(records: Records) -> str:
    """What the docstring of a config says of its runs."""
    if not records:
        return "Not measured yet."
    accuracies = [record["test"]["accuracy"] for record in records]
    seeds = f"{len(records)} seed{'s' * (len(records) > 1)}"
    return (
        f"Measured: test accuracy {summarize(accuracies).mean:.4f} ({min(accuracies):.4f} to "
        f"{max(accuracies):.4f}), {seeds}; fastest epoch {fastest_epoch(records):.1f} s on a CPU's core."
    )


def with_measured(source: str, head: str, records: Records) -> str:
    """The source of a module of configs, the docstring of one head brought up to date.

    Raises:
      ValueError: the docstring is not where it should be.
    """
    docstring = rf'(--heads {head}\n\n    )[^"]*(\n    """)'
    source, found = re.subn(docstring, rf"\g<1>{measured(records)}\g<2>", source)
    if found != 1:
        raise ValueError(
            f"the docstring of {head} has no line with its command, and one below what was measured"
        )
    return source


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes both READMEs, and what was measured into the docstrings of the configs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(arguments)
    with errors_in_a_line("readme"):
        write()
    print(f"written to {README} and {FRONT}")


def write() -> None:
    """Writes what ``main`` says.

    Raises:
      ValueError: a record is of another config, or the repository's README has lost its marks.
    """
    records = table1_records(RESULTS)
    for dataset in PAPER:
        path = Path(str(MODULES[dataset].__file__))
        source = path.read_text(encoding="utf-8")
        for head in HEADS:
            source = with_measured(source, head, select(records, dataset, head))
        path.write_text(source, encoding="utf-8")
    README.write_text(make(RESULTS), encoding="utf-8")
    front = with_glance(FRONT.read_text(encoding="utf-8"), glance(records))
    FRONT.write_text(front, encoding="utf-8")


if __name__ == "__main__":
    main()
