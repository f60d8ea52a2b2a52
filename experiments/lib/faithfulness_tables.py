"""Tables of ``experiments.faithfulness``, built from its measurements."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.lib.tables import Table

Measured = Sequence[Mapping[str, Any]]
Value = Callable[[Mapping[str, Any]], float | None]

SPREAD: Mapping[str, Value] = {
    "test accuracy": lambda of: of["metrics"]["accuracy"],
    "effective depth, layers": lambda of: of["metrics"]["effective_depth"],
    "mutual information of sample and layer, bits": lambda of: of["profiles"]["mutual_information"],
}
"""Distribution of attention over layers, by row name: functions of a run's measurements."""

IN_THE_HEAD: Mapping[str, tuple[str, Value]] = {
    "completeness gap": ("0", lambda of: _faith(of)["completeness_gap"]),
    "predictions that change without the top layer": (
        "more than without another",
        lambda of: _faith(of)["flips_without_top_layer"],
    ),
    "predictions that change without another layer": (
        "",
        lambda of: _faith(of)["flips_without_another_layer"],
    ),
    "comprehensiveness": (
        "1; 0 at random",
        lambda of: _faith(of)["curves"]["comprehensiveness_score"],
    ),
    "sufficiency": ("1; 0 at random", lambda of: _faith(of)["curves"]["sufficiency_score"]),
    "top layer opposes the prediction": ("0", lambda of: _faith(of)["opposing_top_layer"]),
    **{
        f"Spearman with leaving out: {name.replace('_', ' ')}{', centred' * centred}": (
            "1; 0 at random",
            lambda of, name=name, centred=centred: _faith(of)["agreement"][name][
                "masked_centred" if centred else "masked"
            ]["spearman"],
        )
        for name in ("attention", "attention_norm", "contribution", "shapley")
        for centred in (False, True)
    },
    **{
        f"accuracy with {shown} attention": (
            "below test accuracy, if attention per sample matters" if name != "top_layer" else "",
            lambda of, name=name: _faith(of)["replaced_attention"][name]["accuracy"],
        )
        for name, shown in (
            ("uniform", "uniform"),
            ("mean", "the mean"),
            ("class_mean", "its class's mean"),
            ("permuted", "another sample's"),
            ("top_layer", "only the top layer's"),
        )
    },
    **{
        f"correlation after randomising: {part}{', same seed' * (part == 'labels')}": (
            "0",
            lambda of, part=part: _faith(of)["randomization"].get(part, {}).get("centred_correlation"),
        )
        for part in ("scorer", "adapters", "backbone from h1", "labels")
    },
    "same top layer under input noise": ("1", lambda of: _faith(of)["input_noise"]["same_top_layer"]),
    "attention moved by rescaling": (
        "0",
        lambda of: (_faith(of)["rescaling"] or {}).get("attention_change"),
    ),
    "decisions kept after rescaling": ("", lambda of: (_faith(of)["rescaling"] or {}).get("same_decisions")),
}
"""Faithfulness within the head, by row name: ideal value, and a function of a run's measurements."""

BEYOND_THE_HEAD: Mapping[str, tuple[str, Value]] = {
    f"AUROC for {kind}: {name.replace('_', ' ')}": (
        "1; 0.5 at random",
        lambda of, kind=kind, name=name: ((of[kind] or {}).get(name) or {}).get("auroc"),
    )
    for kind in ("mistakes", "outliers")
    for name in ("max_softmax", "energy", "attention_entropy", "profile_distance", "contribution_conflict")
}
"""Detection of mistakes and outliers from attention, alongside standard scores from logits."""

STABILITY = {
    "seeds: same top layer": ("1", "same_top_layer"),
    "seeds: centred correlation": ("1", "centred_correlation"),
    "seeds: divergence, bits": ("0", "divergence"),
}
"""Agreement between seeds, by row name: ideal value, and name of the measurement."""


def tables_of(measured: Measured) -> list[Table]:
    """Builds three tables: distribution of attention, faithfulness to the head, and detection tasks."""
    head = "Does attention show what the head does?"
    beyond = _judged_table(measured, "Does attention show anything else?", BEYOND_THE_HEAD)
    for name, (wanted, field) in STABILITY.items():
        beyond.add(name, wanted, *(_beside_chance(found["stability"], field) for found in measured))
    return [_spread_table(measured), _judged_table(measured, head, IN_THE_HEAD), beyond]


def _spread_table(measured: Measured) -> Table:
    table = Table("LAYA's runs: mean over seeds (minimum to maximum)", _columns(measured))
    for name, value in SPREAD.items():
        table.add(name, *_of_runs(measured, value))
    same = (
        f"{sum(found['same_runs'])} of {len(found['runs'])}" if "same_runs" in found else "unknown"
        for found in measured
    )
    table.add("runs that are identical to those of Table 1", *same)
    learnt = (
        f"{found['random_labels']['accuracy']:.3f}" if "random_labels" in found else "not run"
        for found in measured
    )
    table.add("training accuracy of the run on shuffled labels", *learnt)
    return table


def _judged_table(measured: Measured, what: str, rows: Mapping[str, tuple[str, Value]]) -> Table:
    columns = _columns(measured, "ideal")
    table = Table(f"{what} Mean over seeds (minimum to maximum)", columns)
    for name, (wanted, value) in rows.items():
        table.add(name, wanted, *_of_runs(measured, value))
    return table


def _columns(measured: Measured, *more: str) -> tuple[str, ...]:
    return ("measurement", *more, *(found["dataset"] for found in measured))


def _of_runs(measured: Measured, value: Value) -> list[str]:
    return [ranged([value(run) for run in found["runs"]]) for found in measured]


def _faith(numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    faithfulness: Mapping[str, Any] = numbers["faithfulness"]
    return faithfulness


def ranged(values: Sequence[float | None]) -> str:
    """Formats the mean, minimum and maximum of the defined values.

    >>> ranged([0.5, None, 0.25]), ranged([0.5, 0.5]), ranged([None])
    ('0.375 (0.250 to 0.500), 2 of 3 runs', '0.500 (0.500 to 0.500)', '')
    """
    known = [value for value in values if value is not None]
    if not known:
        return ""
    form = (lambda value: f"{value:.0e}") if max(map(abs, known)) < 1e-4 else (lambda value: f"{value:.3f}")
    text = form(float(np.mean(known)))
    if len(known) > 1:
        text += f" ({form(min(known))} to {form(max(known))})"
    return text if len(known) == len(values) else f"{text}, {len(known)} of {len(values)} runs"


def _beside_chance(found: Mapping[str, Any] | None, field: str) -> str:
    if found is None or found["between"][field] is None:
        return ""
    chance = found["chance"][field]
    return f"{found['between'][field]:.3f}" + ("" if chance is None else f" ({chance:.3f} by chance)")
