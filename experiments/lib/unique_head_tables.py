"""Tables of ``experiments.unique_head``, built from its records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from experiments.lib.statistics import compare_paired, holm, summarize
from experiments.lib.tables import Table
from laya_jax.files import read_json

REFERENCE = "linear"
"""Head with which the others are compared."""

HOW = (
    "training and validation splits resampled, test split fixed; p over draws by a paired t test, which is "
    "optimistic because draws overlap; p over items by a paired t test over test examples, averaged over "
    "draws, and corrected for the number of heads in the table (Holm)"
)
COLUMNS = (
    "head",
    "draws",
    "validation",
    "test accuracy",
    "log loss",
    "calibration error",
    f"minus {REFERENCE}",
    "p over draws",
    "p over items",
    "penalties chosen",
    "seconds",
)
STABILITY = ("over", "head", "attributed", "same top layer", "by chance", "centred correlation", "by chance")


def tables_of(results: Path) -> list[Table]:
    """Builds a table of accuracies and one of stability for each pooling and number of labels."""
    tables = []
    for folder in sorted(path for path in (results / "unique_head").glob("*") if path.is_dir()):
        records = sorted(map(read_json, folder.glob("*.json")), key=_accuracy)
        by_head = {record["head"]: record for record in records}
        labels = records[0]["labels"]
        case = f"pooling {records[0]['pooling']}, " + (
            "all labels" if labels == "all" else f"{labels} training labels per class"
        )
        tables.append(_accuracies(by_head, f"Paintings, frozen ViT, {case}; {HOW}"))
        tables.append(_stability(by_head, f"Stability over draws and over solutions of one draw, {case}"))
    return tables


def glance(results: Path) -> Table:
    """Builds a compact table: accuracies with each pooling, and the agreement of contributions over draws."""
    records = [read_json(path) for path in sorted((results / "unique_head").glob("*-all/*.json"))]
    poolings = sorted({record["pooling"] for record in records})
    table = Table(
        "Paintings: test accuracy over resampled training sets, and correlation of contributions across them",
        ("head", *poolings, *(f"correlation, {pooling}" for pooling in poolings)),
    )
    by_key = {(record["head"], record["pooling"]): record for record in records}
    last = sorted((record for record in records if record["pooling"] == poolings[-1]), key=_accuracy)
    for name in (record["head"] for record in last):
        of_head = [by_key.get((name, pooling)) for pooling in poolings]
        table.add(name, *map(_shown_accuracy, of_head), *map(_agreement, of_head))
    return table


def _shown_accuracy(record: Mapping[str, Any] | None) -> str:
    return "" if record is None else str(summarize([run["test"]["accuracy"] for run in record["runs"]]))


def _agreement(record: Mapping[str, Any] | None) -> str:
    if record is None or record["draws"] is None:
        return ""
    return _number(record["draws"]["contributions"]["between"]["centred_correlation"])


def _accuracies(records: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    table = Table(title, COLUMNS)
    compared = _compared(records)
    for name, record in records.items():
        runs = record["runs"]
        test = [run["test"] for run in runs]
        chosen = [run["setting"].get("penalty") for run in runs]
        table.add(
            name,
            str(len(runs)),
            f"{np.mean([run['validation'] for run in runs]):.4f}",
            str(summarize([each["accuracy"] for each in test])),
            f"{np.mean([each['loss'] for each in test]):.4f}",
            f"{np.mean([each['calibration_error'] for each in test]):.4f}",
            *compared.get(name, ("", "", "")),
            ", ".join(f"{penalty:g}" for penalty in sorted(set(chosen) - {None})),
            f"{min(run['seconds'] for run in runs):.1f}",
        )
    return table


def _compared(records: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, str, str]]:
    """Formats each head minus the reference, with p over draws, and p over items corrected."""
    if REFERENCE not in records:
        return {}
    reference = records[REFERENCE]
    pairs = {name: compare_paired(_by_seed(each), _by_seed(reference)) for name, each in records.items()}
    found = {name: pair for name, pair in pairs.items() if pair is not None and name != REFERENCE}
    items = [float(stats.ttest_rel(_by_item(records[name]), _by_item(reference)).pvalue) for name in found]
    return {
        name: (str(difference), f"{difference.p:.2g}", f"{p:.2g}")
        for (name, difference), p in zip(found.items(), holm(items), strict=True)
    }


def _stability(records: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    table = Table(title, STABILITY)
    for over in ("draws", "solutions"):
        for name, record in records.items():
            for attributed, found in (record[over] or {}).items():
                cells = [
                    _number(found[which][key])
                    for key in ("same_top_layer", "centred_correlation")
                    for which in ("between", "chance")
                ]
                table.add(over, name, attributed, *cells)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _accuracy(record: Mapping[str, Any]) -> float:
    return float(np.mean([run["test"]["accuracy"] for run in record["runs"]]))


def _by_seed(record: Mapping[str, Any]) -> dict[int, float]:
    return {run["seed"]: run["test"]["accuracy"] for run in record["runs"]}


def _by_item(record: Mapping[str, Any]) -> Any:
    """Share of the draws in which each test example is predicted correctly."""
    return np.mean([[int(digit) for digit in run["correct"]] for run in record["runs"]], axis=0)
