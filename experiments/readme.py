"""Writes README.md of this folder: each item of the paper, its command, the paper's value, and ours.

The README of the repository gets Table 1 at a glance, the docstrings of the configs what was measured.

python -m experiments.readme
"""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import artworks, faithfulness, frozen_tables, label_noise, pilots, table1, table2
from experiments.command import errors_in_a_line
from experiments.configs import HEADS, MODULES, PAPER
from experiments.figures import TITLES, class_profile, mean_profile
from experiments.paper import FIGURE_1, FIGURE_2, TABLE_1, TABLE_2
from experiments.records import MOST_SEEDS, RESULTS, fastest_epoch, finished
from experiments.statistics import summarize
from experiments.tables import Table

README = Path(__file__).parent / "README.md"
FRONT = Path(__file__).parents[1] / "README.md"
"""README of the repository, which shows Table 1 at a glance between two marks."""
MARKS = "<!-- written by experiments.readme -->\n\n", "\n\n<!-- until here -->"
SEEDS = 5
HOW_CHOSEN = """\
What the paper leaves open (widths, batch size, learning rate, which end of a review) was chosen by short runs
of LAYA on validation (`python -m experiments.pilots`), and concat and scalar_mix have the d* of the paper's
LAYA: if that favours a head, it is LAYA."""

INTRODUCTION = """\
# The paper's experiments, again

What *LAYA* (arXiv 2511.12723) reports, the command that makes it here, and what came out. This file is
written by `python -m experiments.readme` from the records in `results/`; nothing in it is typed by hand.

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

Records = Sequence[Mapping[str, Any]]


def table1_records(results: Path) -> Records:
    """Those of Table 1."""
    return finished(table1.jobs_of([*MODULES], HEADS, MOST_SEEDS), results)


def table2_records(results: Path) -> Records:
    """Those of Table 2."""
    return finished(table2.jobs_of([*MODULES], table2.TUNED, table2.SEEDS), results)


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
    "faithfulness": faithfulness.STUDY.tables_of,
    "label_noise": label_noise.STUDY.tables_of,
}
"""The tables of every script, from its records."""

BEYOND = ("artworks", "frozen", "faithfulness", "label_noise")
"""What the paper does not have."""


def of(records: Records, dataset: str, head: str) -> list[Mapping[str, Any]]:
    """The records of a data set and a head."""
    return [record for record in records if (record["dataset"], record["head"]) == (dataset, head)]


def items(records: Records, grids: Records, results: Path) -> Table:
    """Paper item -> command -> paper's value -> ours."""
    table = Table("The paper's items", ("item", "command", "paper", "ours", "how it stands"))
    for dataset in PAPER:
        for head in HEADS:
            table.add(
                f"Table 1, {TITLES[dataset]}, {head}",
                f"`python -m experiments.table1 --datasets {dataset} --heads {head}`",
                *_accuracy(of(records, dataset, head), dataset, head),
            )
    for dataset in PAPER:
        table.add(
            f"Table 2, {TITLES[dataset]}",
            f"`python -m experiments.table2 --datasets {dataset}`",
            *_setting(grids, dataset),
        )
    for dataset in PAPER:
        table.add(
            f"Figure 1, {TITLES[dataset]}",
            f"`python -m experiments.figures --datasets {dataset}`",
            *_profile(of(records, dataset, "laya"), dataset),
        )
    for class_name, (layer, share) in FIGURE_2["fashion-mnist"].items():
        table.add(
            f"Figure 2, {TITLES['fashion-mnist']}, {class_name} to h{layer}",
            "`python -m experiments.figures --datasets fashion-mnist`",
            f"{share:.2f}",
            *_class_share(of(records, "fashion-mnist", "laya"), class_name, layer),
        )
    for row in _artworks(results):
        table.add(*row)
    return table


def _artworks(results: Path) -> Iterator[tuple[str, ...]]:
    """Rows of Figure 3, one per way to train."""
    for name, config in artworks.configs_of(artworks.VIT, artworks.PAINTINGS).items():
        records = finished(artworks.jobs_of(name, config, MOST_SEEDS), results)
        ours, stands = "", "not run yet"
        if records:
            mean, _ = mean_profile(records)
            top = np.argsort(-mean)[:5]
            ours = ", ".join(f"h{layer + 1} {mean[layer]:.2f}" for layer in sorted(top))
            stands = f"the five of most attention; other paintings, ViT-S/14; {len(records)} seeds"
        command = "`python -m experiments.artworks`"
        yield f"Figure 3, artworks, {name}", command, "h5, h7, h9 to h11 most", ours, stands


def _accuracy(records: Records, dataset: str, head: str) -> tuple[str, str, str]:
    paper = TABLE_1[dataset][head]
    theirs = f"{paper.accuracy:.4f} ± {paper.deviation:.4f}"
    if not records:
        return theirs, "", "not run yet"
    ours = summarize([record["test"]["accuracy"] for record in records])
    stands = f"{table1.verdict(ours.mean, paper.low, paper.high)} the paper's interval"
    if len(records) < SEEDS:
        stands += f"; {len(records)} of {SEEDS} seeds so far"
    return theirs, f"{ours.mean:.4f} ± {ours.deviation:.4f}", stands


def _setting(records: Records, dataset: str) -> tuple[str, str, str]:
    theirs = table2.HeadConfig(**TABLE_2[dataset])
    paper = table2.name_of(theirs).removeprefix("laya-")
    grid = len(table2.grid(dataset, "laya"))
    whole = table2.comparable(table2.by_setting(records, dataset, "laya"), grid)
    if not whole:
        return paper, "", "not run yet"
    best = max(whole, key=lambda setting: table2.accuracy(whole[setting], "validation"))
    ours = f"{table2.name_of(best).removeprefix('laya-')} ({table2.accuracy(whole[best], 'validation'):.4f})"
    other = "another setting" if theirs in whole else "the paper's setting is not run yet"
    same = "the same" if best == theirs else other
    return paper, ours, f"{same}; {len(whole)} of {grid} settings, {len(whole[best])} of {table2.SEEDS} seeds"


def _profile(records: Records, dataset: str) -> tuple[str, str, str]:
    theirs = ", ".join(f"h{layer} {share:.2f}" for layer, share in FIGURE_1[dataset].items())
    if not records:
        return theirs, "", "not run yet"
    mean, _ = mean_profile(records)
    ours = ", ".join(f"h{layer} {share:.2f}" for layer, share in enumerate(mean, 1))
    seeds = [record["attention"]["mean"] for record in records]
    ranges = ", ".join(
        f"h{layer} {min(shares):.2f} to {max(shares):.2f}"
        for layer, shares in enumerate(zip(*seeds, strict=True), 1)
    )
    return theirs, ours, f"by seed: {ranges}"


def _class_share(records: Records, class_name: str, layer: int) -> tuple[str, str]:
    if not records:
        return "", "not run yet"
    row = records[0]["class_names"].index(class_name)
    shares = [class_profile([record], "all")[row, layer - 1] for record in records]
    mean = class_profile(records, "all")[row, layer - 1]
    return f"{mean:.2f}", f"by seed: {min(shares):.2f} to {max(shares):.2f}"


def figures(folder: Path) -> str:
    """The figures that there are."""
    paths = sorted(folder.glob("*.png"))
    return "\n\n".join(f"![{path.stem}](results/figures/{path.name})" for path in paths)


def make(results: Path) -> str:
    """The text of the README."""
    records, grids = table1_records(results), table2_records(results)
    parts = [INTRODUCTION, items(records, grids, results).as_markdown()]
    datasets = [dataset for dataset in PAPER if any(record["dataset"] == dataset for record in records)]
    parts += [
        "## Table 1",
        table1.results_table(records, datasets).as_markdown(),
        table1.differences_table(records, datasets).as_markdown(),
        HOW_CHOSEN,
    ]
    if grids:
        parts += [
            "## Table 2",
            table2.best_table(grids, PAPER).as_markdown(),
            "All settings: `results/table2.md`.",
        ]
    parts += [table.as_markdown() for name in BEYOND for table in TABLES[name](results)]
    drawn = figures(results / "figures")
    if drawn:
        parts += ["## Figures", drawn]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def glance(records: Records) -> Table:
    """Accuracy of every head beside the paper's, and what paired tests say of LAYA."""
    table = Table(
        "Test accuracy over seeds, mean ± standard deviation, and the paper's in parentheses",
        ("data set", *HEADS, "LAYA by paired tests"),
    )
    for dataset in PAPER:
        of_heads = [_accuracy(of(records, dataset, head), dataset, head) for head in HEADS]
        compared = table1.differences_table(records, [dataset]).rows
        verdicts = [f"{row[-1].removeprefix('LAYA ')} than {row[1]}" for row in compared if "LAYA" in row[-1]]
        table.add(
            TITLES[dataset],
            *(f"{ours or '?'} ({theirs})" for theirs, ours, _ in of_heads),
            ", ".join(verdicts) or "no difference shown" * bool(compared),
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
    """The source of a module of configs, the docstring of one head brought up to date."""
    return re.sub(rf'(--heads {head}\n\n    )[^"]*(\n    """)', rf"\g<1>{measured(records)}\g<2>", source)


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
            source = with_measured(source, head, of(records, dataset, head))
        path.write_text(source, encoding="utf-8")
    README.write_text(make(RESULTS), encoding="utf-8")
    front = with_glance(FRONT.read_text(encoding="utf-8"), glance(records))
    FRONT.write_text(front, encoding="utf-8")


if __name__ == "__main__":
    main()
