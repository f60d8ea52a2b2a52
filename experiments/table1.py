"""Table 1: accuracy and macro-F1 of four heads over five seeds, with paired tests.

    python -m experiments.table1                            # trains missing runs, then writes the tables
    python -m experiments.table1 --datasets fashion-mnist --heads laya last_layer
    python -m experiments.table1 --seeds 0                  # the tables of existing records

The record of each run is written to ``results/table1/`` when it finishes, the tables to ``results/table1.*``.
If the command is interrupted or killed, running it again continues.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.configs import HEADS, MODULES, PAPER
from experiments.lib.command import errors_in_a_line, places_of, training_options
from experiments.lib.head_accuracies import comparisons, jobs_of, reproduced, verdict
from experiments.lib.paper import TABLE_1
from experiments.lib.records import MOST_SEEDS, fastest_epoch, finished, select
from experiments.lib.runs import train_missing
from experiments.lib.statistics import interval, summarize
from experiments.lib.tables import Table, write_tables


def results_table(records: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> Table:
    """Builds the table of mean and standard deviation of every head."""
    table = Table(
        "Test split, mean ± standard deviation over seeds, and two-sided 95 % t interval",
        (
            "data set",
            "head",
            "seeds",
            "accuracy",
            "95 % interval",
            "macro-F1",
            "calibration error",
            "parameters",
            "seconds of the fastest epoch",
            "trained with",
        ),
    )
    for dataset in datasets:
        for head in HEADS:
            mine = select(records, dataset, head)
            if mine:
                table.add(dataset, head, *_row(mine))
    return table


def _row(records: Sequence[Mapping[str, Any]]) -> list[str]:
    accuracy, macro_f1, calibration_error = (
        summarize([record["test"][name] for record in records])
        for name in ("accuracy", "macro_f1", "calibration_error")
    )
    return [
        str(accuracy.number),
        str(accuracy),
        interval(accuracy.low, accuracy.high),
        str(macro_f1),
        str(calibration_error),
        f"{records[0]['parameters']:,}",
        f"{fastest_epoch(records):.1f}",
        trained_with([record["environment"]["commit"] for record in records]),
    ]


def trained_with(commits: Sequence[str | None]) -> str:
    """Formats the commit that trained the runs, with "+" if files were changed, or the number of commits.

    >>> trained_with(["1e8bc50a+", "1e8bc50a+"]), trained_with(["1e8bc50a", "2660192b+", None])
    ('1e8bc50+', '3 commits, 2 with changed files or unknown')
    """
    known = [*dict.fromkeys(commit or "+" for commit in commits)]
    changed = sum(commit.endswith("+") for commit in known)
    if len(known) == 1:
        return (known[0][:7] + "+" * changed) if known[0] != "+" else "unknown"
    return f"{len(known)} commits" + (f", {changed} with changed files or unknown" if changed else "")


def published_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Builds the table of the paper's accuracies and their differences from ours."""
    table = Table(
        "Accuracy compared with the paper's: ours minus the paper's, and Welch's 95 % interval over seeds",
        (
            "data set",
            "head",
            "paper's accuracy",
            "paper's interval",
            "our mean is",
            "ours minus paper's",
            "verdict",
        ),
    )
    for dataset, head, ours, gap in reproduced(records):
        paper = TABLE_1[dataset][head]
        table.add(
            dataset,
            head,
            f"{paper.accuracy:.4f} ± {paper.deviation:.4f}",
            interval(paper.low, paper.high),
            verdict(ours, paper.low, paper.high),
            *(("", "") if gap is None else (str(gap), gap.verdict)),
        )
    return table


def differences_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Builds the table of differences between LAYA and each other head, paired by seed."""
    compared = comparisons(records)
    table = Table(
        "LAYA minus each head, accuracy paired by seed: two-sided paired t test, also with p corrected for "
        f"{len(compared)} comparisons (Holm)",
        (
            "data set",
            "LAYA minus",
            "seeds",
            "mean difference and 95 % interval",
            "p",
            "corrected p",
            "Cohen's d of the differences",
            "LAYA is",
        ),
    )
    for each in compared:
        table.add(
            each.dataset,
            each.head,
            str(each.difference.pairs),
            str(each.difference),
            f"{each.difference.p:.2g}",
            f"{each.p:.2g}",
            f"{each.difference.effect:+.2f}",
            each.verdict,
        )
    return table


def tables_of(records: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Builds the tables of accuracies, of the paper's accuracies, and of LAYA against each other head."""
    datasets = [dataset for dataset in MODULES if any(record["dataset"] == dataset for record in records)]
    tables = results_table(records, datasets), published_table(records), differences_table(records)
    return [table for table in tables if table.rows]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains missing runs and writes the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", choices=MODULES, default=PAPER)
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=HEADS)
    training_options(parser, seeds=5)
    asked = parser.parse_args(arguments)
    with errors_in_a_line("table1"):
        places = places_of(asked)
        every = jobs_of([*MODULES], HEADS, max(MOST_SEEDS, asked.seeds), asked.epochs)
        finished(every, places.results)  # fails before training if a record has another config
        train_missing(jobs_of(asked.datasets, asked.heads, asked.seeds, asked.epochs), places)
        tables = tables_of(finished(every, places.results))
        write_tables(tables, places.results / "table1")
    for table in tables:
        print(f"\n{table.as_text()}")


if __name__ == "__main__":
    main()
