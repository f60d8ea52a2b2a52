"""Files of an attribution: numbers as JSON, per-sample values as .npz and .csv, and figures."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution import by_name, effective_depth, label_suspicion, of_class
from laya_jax.files import write_json, writing
from laya_jax.report.measuring import Attributed
from laya_jax.report.seeds import other_seeds
from laya_jax.spreadsheet import write_rows
from laya_jax.typing import JsonObject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 40
"""Number of samples in the figure of contributions."""


def write_numbers(path: Path, runs: Sequence[Attributed], stability: JsonObject | None) -> None:
    """Writes the measurements of the runs as one JSON object."""
    write_json(path, {"runs": [run.numbers for run in runs], "stability": stability})


def write_samples(path: Path, run: Attributed, ids: Sequence[str], labels: NDArray) -> None:
    """Writes the per-sample values of a run to ``path`` with .npz and .csv appended.

    The .npz contains ids, labels, predicted classes and logits. For a head with attention over layers it also
    contains attention, contributions to every logit, votes (the prediction of each layer alone), and Shapley
    values for the predicted class, with standard errors if they were sampled. The .csv has one line per
    sample with the same values, except for errors and per-class values, and with texts escaped for
    spreadsheets. Both contain several scores of label suspicion.

    Args:
      path: Path of the files, without suffix.
      run: Measurements of the run.
      ids: Ids of the samples, in order.
      labels: True classes, [N].
    """
    suspicion = by_name(label_suspicion(run.explained.logits, labels, run.explained.explanation))
    with writing(f"{path}.npz", binary=True) as file:
        np.savez(file, **_arrays(run, ids, labels, suspicion))
    columns = _columns(run, ids, labels, suspicion)
    with writing(f"{path}.csv", errors="backslashreplace") as file:
        write_rows(file, list(columns), zip(*columns.values(), strict=True))


def _arrays(
    run: Attributed, ids: Sequence[str], labels: NDArray, suspicion: dict[str, NDArray]
) -> dict[str, Any]:
    logits, explanation = run.explained
    arrays = {
        "ids": np.array(ids),
        "labels": labels,
        "predicted": np.argmax(logits, axis=1),
        "logits": logits,
        **{f"suspicion_{name}": values for name, values in suspicion.items()},
    }
    if explanation is not None and run.shapley is not None:
        arrays |= {
            "attention": explanation.attention.astype(np.float32),
            "contributions": explanation.contributions.astype(np.float32),
            "votes": explanation.by_head[1].sum(axis=2),
            "shapley": run.shapley.values,
        }
        if run.shapley.errors is not None:
            arrays["shapley_errors"] = run.shapley.errors
    return arrays


def _columns(
    run: Attributed, ids: Sequence[str], labels: NDArray, suspicion: dict[str, NDArray]
) -> dict[str, Sequence[object]]:
    explanation, names = run.explained.explanation, run.numbers["class_names"]
    predicted = np.argmax(run.explained.logits, axis=1)
    columns: dict[str, Sequence[object]] = {
        "id": ids,
        "label": [names[label] for label in labels],
        "predicted": [names[label] for label in predicted],
        **{f"suspicion by {name}": values.tolist() for name, values in suspicion.items()},
    }
    if explanation is not None and run.shapley is not None:
        attention = explanation.attention
        columns["effective depth"] = effective_depth(attention).tolist()
        each = {
            "attention to": attention,
            "contribution of": of_class(explanation.contributions, predicted),
            "shapley value of": run.shapley.values,
        }
        for name, values in each.items():
            columns |= {f"{name} h{layer}": column.tolist() for layer, column in enumerate(values.T, 1)}
    return columns


def write_figures(directory: Path, runs: Sequence[Attributed]) -> None:
    """Writes figures of the first run, and of the similarity of the runs, as .png and .pdf.

    Nothing is written for a head without attention over layers.
    """
    from laya_jax.attribution import plots

    first = runs[0]
    if first.profiles is None or first.contribution_profiles is None or first.curves is None:
        return
    explanation = first.explained.weighed()
    figures = {
        "contribution-profile": plots.profile_bars(first.contribution_profiles, "share of contributions"),
        "profile": plots.profile_bars(first.profiles),
        "class-profiles": plots.class_heatmaps(first.profiles, first.numbers["class_names"]),
        "contributions": plots.stacked_contributions(explanation.take(slice(SHOWN))),
        "faithfulness": plots.faithfulness_curves(first.curves),
    }
    if compared := other_seeds(runs):
        attentions = [run.explained.weighed().attention for run in compared]
        names = [f"{run.numbers['head']} {run.numbers['seed']}" for run in compared]
        figures["stability"] = plots.stability_map(attentions, names)
    of_attention = first.numbers["faithfulness"]
    for name, figure in figures.items():
        by_contribution = name.startswith("contribution")
        measured = of_attention["contributions"] if by_contribution else of_attention
        top = "that contributes most" if by_contribution else "with the most attention"
        caption = (
            f"{measured['flips_without_top_layer']:.1%} of predictions change without the layer {top}, "
            f"{measured['flips_without_another_layer']:.1%} without another one"
        )
        figure.supxlabel(caption, size=7)
        _save(figure, directory / name)


def _save(figure: "Figure", path: Path) -> None:
    """Writes a figure to ``path`` with .png and .pdf appended."""
    for suffix in ("png", "pdf"):
        # Drawn in memory first: image libraries that write files themselves do not report a full disk.
        drawn = io.BytesIO()
        figure.savefig(drawn, format=suffix)
        with writing(path.with_name(f"{path.name}.{suffix}"), binary=True) as file:
            file.write(drawn.getbuffer())
