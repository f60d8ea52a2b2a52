"""Tables of ``experiments.frozen``, built from its records."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.configs.frozen import CANDIDATES, LABELS, ORACLE, RECOMMENDED, SINGLE
from experiments.lib.statistics import compare_paired, holm, summarize
from experiments.lib.tables import Table
from laya_jax.files import read_json

HOW = (
    "settings and epochs chosen on the whole validation split; p of paired t tests over seeds, also "
    "corrected for the number of heads in the table (Holm)"
)


def path_of(results: Path, problem: str, labels: str, name: str) -> Path:
    """Returns the path of the record of a head."""
    plain = "-".join(re.findall(r"[\w]+", name))
    return results / "frozen" / f"{problem}-{labels}" / f"{plain}.json"


def records_of(results: Path, problem: str, labels: str) -> dict[str, dict[str, Any]]:
    """Reads the existing records, by head, in the order of the tables."""
    others = [name for name in CANDIDATES if name != "last layer"]
    names = ("last layer", SINGLE, ORACLE, *others)
    paths = {name: path_of(results, problem, labels, name) for name in names}
    found = {name: read_json(path) for name, path in paths.items() if path.exists()}
    if ORACLE in found and found[ORACLE]["setting"] == found[SINGLE]["setting"]:
        del found[ORACLE]
    return found


def table_of(records: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """Builds a table with one row per head; differences are paired by seed."""
    columns = (
        "head",
        "seeds",
        "accuracy",
        "macro-F1",
        "recommended LAYA minus this head",
        "p",
        "corrected p",
        "learning rate",
        "dropout, layer dropout",
        "parameters",
        "seconds per run",
    )
    table = Table(title, columns)
    compared = _compared(records)
    for name, record in records.items():
        test = [run["test"] for run in record["runs"]]
        accuracy, f1 = (summarize([each[key] for each in test]) for key in ("accuracy", "macro_f1"))
        head = record["setting"]["head"]
        table.add(
            name + (f" (h{record['setting']['layer'] + 1})" if "by_layer" in record else ""),
            str(len(record["runs"])),
            str(accuracy),
            f"{f1.mean:.4f}",
            *compared.get(name, ("", "", "")),
            _rate(record),
            f"{head['dropout']:g}, {head['layer_dropout']:g}" if head["dropout"] else "",
            f"{record['runs'][0]['parameters']:,}",
            f"{np.mean([run['seconds'] for run in record['runs']]):.1f}",
        )
    return table


def _compared(records: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, str, str]]:
    """Formats recommended LAYA minus each other head, with p and p corrected for the number of heads."""
    if RECOMMENDED not in records:
        return {}
    best = _by_seed(records[RECOMMENDED])
    pairs = {name: compare_paired(best, _by_seed(record)) for name, record in records.items()}
    found = {name: pair for name, pair in pairs.items() if pair is not None and name != RECOMMENDED}
    corrected = holm([difference.p for difference in found.values()])
    return {
        name: (str(difference), f"{difference.p:.2g}", f"{p:.2g}")
        for (name, difference), p in zip(found.items(), corrected, strict=True)
    }


def tables_of(results: Path) -> list[Table]:
    """Builds one table for each data set and number of labels with records."""
    titles = {"paintings": "Paintings, frozen ViT", "imdb": "IMDB, frozen BERT"}
    found = []
    for problem, title in titles.items():
        for labels in reversed(LABELS):
            records = records_of(results, problem, labels)
            if records:
                amount = "all labels" if labels == "all" else f"{labels} training labels per class"
                found.append(table_of(records, f"{title}, {amount}; {HOW}"))
    return found


def _rate(record: Mapping[str, Any]) -> str:
    """Formats the chosen learning rate, marked if it is the lowest or highest of those tried."""
    rate, tried = record["setting"]["rate"], [each["setting"]["rate"] for each in record["tried"]]
    edge = {min(tried): ", lowest tried", max(tried): ", highest tried"}
    return f"{rate:g}{edge.get(rate, '')}"


def _by_seed(record: Mapping[str, Any]) -> dict[int, float]:
    return {run["seed"]: run["test"]["accuracy"] for run in record["runs"]}
