"""Table 1: accuracy and macro-F1 of four heads over five seeds, with paired tests.

    python -m experiments.table1                            # trains what is missing, then makes the table
    python -m experiments.table1 --datasets fashion-mnist --heads laya last_layer
    python -m experiments.table1 --seeds 0                  # the table of what there is

Every run is written to ``results/table1/`` when it finishes, the table to ``results/table1.*``. Interrupted
or killed, the same command goes on.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.command import errors_in_a_line, places_of, training_options
from experiments.configs import HEADS, MODULES, PAPER, config_of
from experiments.paper import TABLE_1
from experiments.records import MOST_SEEDS, Job, fastest_epoch, finished
from experiments.runs import train_missing
from experiments.statistics import compare_paired, summarize
from experiments.tables import Table, write_tables


def jobs_of(
    datasets: Sequence[str], heads: Sequence[str], seeds: int, epochs: int | None = None
) -> list[Job]:
    """The runs that the table needs, all heads of a seed before the next seed."""
    return [
        _job(dataset, head, seed, epochs) for dataset in datasets for seed in range(seeds) for head in heads
    ]


def _job(dataset: str, head: str, seed: int, epochs: int | None) -> Job:
    config = dataclasses.replace(config_of(dataset, head), seed=seed)
    if epochs is not None:
        config = dataclasses.replace(config, epochs=epochs)
    return Job(f"table1/{dataset}/{head}-seed{seed}", dataset, config)


def accuracies(records: Sequence[Mapping[str, Any]], dataset: str, head: str) -> dict[int, float]:
    """Test accuracy by seed."""
    return {
        record["seed"]: record["test"]["accuracy"]
        for record in records
        if (record["dataset"], record["head"]) == (dataset, head)
    }


def results_table(records: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> Table:
    """Mean and deviation of every head, and the paper's."""
    table = Table(
        "Table 1. Test split, mean ± standard deviation over seeds, and two-sided 95 % t interval",
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
            "paper's accuracy",
            "paper's interval",
            "our mean is",
        ),
    )
    for dataset in datasets:
        for head in HEADS:
            mine = [record for record in records if (record["dataset"], record["head"]) == (dataset, head)]
            if mine:
                table.add(dataset, head, *_row(mine, dataset, head))
    return table


def _row(records: Sequence[Mapping[str, Any]], dataset: str, head: str) -> list[str]:
    test = {
        name: summarize([record["test"][name] for record in records])
        for name in ("accuracy", "macro_f1", "calibration_error")
    }
    accuracy = test["accuracy"]
    paper = TABLE_1.get(dataset, {}).get(head)
    return [
        str(accuracy.number),
        _spread(accuracy.mean, accuracy.deviation),
        f"[{accuracy.low:.4f}, {accuracy.high:.4f}]",
        _spread(test["macro_f1"].mean, test["macro_f1"].deviation),
        _spread(test["calibration_error"].mean, test["calibration_error"].deviation),
        f"{records[0]['parameters']:,}",
        f"{fastest_epoch(records):.1f}",
        "" if paper is None else _spread(paper.accuracy, paper.deviation),
        "" if paper is None else f"[{paper.low:.4f}, {paper.high:.4f}]",
        "" if paper is None else verdict(accuracy.mean, paper.low, paper.high),
    ]


def verdict(mean: float, low: float, high: float) -> str:
    """Where our mean is beside the paper's interval.

    >>> verdict(0.88, 0.87, 0.89)
    'within'
    """
    return "below" if mean < low else "above" if mean > high else "within"


def differences_table(records: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> Table:
    """LAYA minus each other head, paired by seed."""
    table = Table(
        "LAYA minus each head, accuracy paired by seed (p of the two-sided paired t test, not corrected for "
        "the number of comparisons)",
        (
            "data set",
            "LAYA minus",
            "seeds",
            "mean difference",
            "95 % interval",
            "p",
            "Cohen's d of the differences",
            "verdict",
        ),
    )
    for dataset in datasets:
        laya = accuracies(records, dataset, "laya")
        for head in HEADS[:-1]:
            difference = compare_paired(laya, accuracies(records, dataset, head))
            if difference is not None:
                decided = "no difference shown"
                if difference.p < 0.05:
                    decided = "LAYA better" if difference.mean > 0 else "LAYA worse"
                table.add(
                    dataset,
                    head,
                    str(difference.pairs),
                    f"{difference.mean:+.4f}",
                    f"[{difference.low:+.4f}, {difference.high:+.4f}]",
                    f"{difference.p:.2g}",
                    f"{difference.effect:+.2f}",
                    decided,
                )
    return table


def _spread(mean: float, deviation: float) -> str:
    return f"{mean:.4f} ± {deviation:.4f}"


def tables_of(records: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Accuracies, and LAYA against each other head."""
    datasets = [dataset for dataset in MODULES if any(record["dataset"] == dataset for record in records)]
    return [results_table(records, datasets), differences_table(records, datasets)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing and makes the table."""
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
        finished(every, places.results)  # a record of another config shows before anything is trained
        train_missing(jobs_of(asked.datasets, asked.heads, asked.seeds, asked.epochs), places)
        tables = tables_of(finished(every, places.results))
        write_tables(tables, places.results / "table1")
    for table in tables:
        print(f"\n{table.as_text()}")


if __name__ == "__main__":
    main()
