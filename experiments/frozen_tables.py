"""The tables of ``experiments.frozen``, from its records."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.configs.frozen import CANDIDATES, LABELS, ORACLE, RECOMMENDED, SINGLE
from experiments.statistics import compare_paired, summarize
from experiments.tables import Table
from laya_jax.training.run import read_json

HOW = (
    "settings and epochs chosen on the whole validation split; p of paired t tests over seeds, not corrected "
    "for the number of comparisons"
)


def path_of(results: Path, problem: str, labels: str, name: str) -> Path:
    """Where the record of a head is."""
    plain = "-".join(re.findall(r"[\w]+", name))
    return results / "frozen" / f"{problem}-{labels}" / f"{plain}.json"


def records_of(results: Path, problem: str, labels: str) -> dict[str, dict[str, Any]]:
    """The records that are there, by head, in the order of the tables."""
    others = [name for name in CANDIDATES if name != "last layer"]
    names = ("last layer", SINGLE, ORACLE, *others)
    paths = {name: path_of(results, problem, labels, name) for name in names}
    return {name: read_json(path) for name, path in paths.items() if path.exists()}


def table_of(records: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """A row per head; differences are paired by seed."""
    columns = (
        "head",
        "seeds",
        "accuracy",
        "macro-F1",
        "recommended LAYA minus it",
        "p",
        "learning rate",
        "parameters",
        "seconds a run",
    )
    table = Table(title, columns)
    best = _by_seed(records[RECOMMENDED]) if RECOMMENDED in records else {}
    for name, record in records.items():
        test = [run["test"] for run in record["runs"]]
        accuracy, f1 = (summarize([each[key] for each in test]) for key in ("accuracy", "macro_f1"))
        difference = compare_paired(best, _by_seed(record)) if name != RECOMMENDED else None
        table.add(
            name + (f" (h{record['setting']['layer'] + 1})" if "by_layer" in record else ""),
            str(len(record["runs"])),
            f"{accuracy.mean:.4f} ± {accuracy.deviation:.4f}",
            f"{f1.mean:.4f}",
            ""
            if difference is None
            else f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]",
            "" if difference is None else f"{difference.p:.2g}",
            _rate(record),
            f"{record['runs'][0]['parameters']:,}",
            f"{np.mean([run['seconds'] for run in record['runs']]):.1f}",
        )
    return table


def tables_of(results: Path) -> list[Table]:
    """A table for each data set and number of labels that there are records of."""
    titles = {"paintings": "Paintings, frozen ViT", "imdb": "IMDB, frozen BERT"}
    found = []
    for problem, title in titles.items():
        for labels in reversed(LABELS):
            records = records_of(results, problem, labels)
            if records:
                amount = "all labels" if labels == "all" else f"{labels} labels a class to train on"
                found.append(table_of(records, f"{title}, {amount}; {HOW}"))
    return found


def _rate(record: Mapping[str, Any]) -> str:
    """The learning rate that was chosen; a better one may lie beyond the highest or lowest that was tried."""
    rate, tried = record["setting"]["rate"], [each["setting"]["rate"] for each in record["tried"]]
    edge = {min(tried): ", lowest tried", max(tried): ", highest tried"}
    return f"{rate:g}{edge.get(rate, '')}"


def _by_seed(record: Mapping[str, Any]) -> dict[int, float]:
    return {run["seed"]: run["test"]["accuracy"] for run in record["runs"]}
