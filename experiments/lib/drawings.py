"""Drawings of attention over layers, from records: bars of mean attention, and class x layer heatmaps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TITLES = {"fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "imdb": "IMDB", "digits": "Digits"}
GROUPS = {"all": "all test examples", "correct": "correct", "wrong": "misclassified"}
MANY_LAYERS = 7
"""Minimum number of layers for which the colour scale ends at the largest attention rather than at 1."""

MANY_COLUMNS = 18
"""Maximum number of heatmap columns with a number in each cell; beyond it, only some layers are labelled."""

WIDTH = 7.5
"""Width of figures in inches; GitHub displays wider ones scaled down, with smaller letters."""

COLOUR, COLOUR_MAP = "#3b6ea5", "Blues"

Records = Sequence[Mapping[str, Any]]


def mean_profile(records: Records) -> tuple[NDArray, NDArray]:
    """Computes attention [L] averaged over seeds, and its standard deviation over all their test examples."""
    means = np.array([record["attention"]["mean"] for record in records])
    within = np.array([record["attention"]["standard_deviation"] for record in records])
    return means.mean(axis=0), np.sqrt(np.mean(within**2, axis=0) + means.var(axis=0))


def class_profile(records: Records, group: str) -> NDArray:
    """Computes mean attention [K, L] by true class over all seeds; NaN for classes without examples."""
    total, examples = 0.0, 0
    for record in records:
        profile = record["attention"][group]
        number = np.array(profile["examples"])[:, None]
        layers = len(record["attention"]["mean"])
        rows = np.array([[0.0] * layers if row is None else row for row in profile["by_class"]])
        total, examples = total + number * rows, examples + number
    return np.where(examples > 0, total / np.maximum(examples, 1), np.nan)


def flips(records: Records) -> tuple[str, str]:
    """Formats the shares of predictions that change without their top-attention layer and without another."""
    measured = [record["faithfulness"] for record in records]
    top, other = (
        np.mean([shares[f"flips_without_{which}_layer"] for shares in measured])
        for which in ("top", "another")
    )
    return f"{top:.0%}", f"{other:.0%}"


def belief(records: Records, joint: str = " ") -> str:
    """Describes the faithfulness of the attention, averaged over seeds, in words."""
    top, other = flips(records)
    parts = (
        f"{top} of predictions change",
        "without their layer of most attention,",
        f"{other} without another one",
    )
    return joint.join(parts)


def figure_1(by_dataset: Mapping[str, Records]) -> Any:
    """Draws bars of mean attention with one point per seed, in one panel per data set."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        1, len(by_dataset), figsize=(WIDTH, 3.2), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, (dataset, records) in zip(panels[0], by_dataset.items(), strict=True):
        _bars(panel, records)
        panel.set_title(f"{TITLES.get(dataset, dataset)} ({len(records)} seeds)")
        panel.set_xlabel(belief(records, "\n"), size=8)
    panels[0][0].set(ylabel="attention", ylim=(0, 1))
    figure.supxlabel(
        "bars: mean ± standard deviation over seeds and test examples, cut off at 0 and 1; points: seeds",
        size=8,
    )
    return figure


def _bars(panel: Any, records: Records) -> None:
    mean, deviation = mean_profile(records)
    layers = np.arange(1, len(mean) + 1)
    # Attention lies in [0, 1]: a longer error bar would be clipped and lose its cap.
    whiskers = np.minimum(deviation, [mean, 1 - mean])
    style = {"lw": 1, "capsize": 3, "clip_on": False}
    panel.bar(layers, mean, 0.6, yerr=whiskers, color=COLOUR, alpha=0.75, error_kw=style)
    for record in records:
        # Shifted to the right, so that the error bar does not hide the points.
        panel.plot(layers + 0.22, record["attention"]["mean"], ".", color="black", ms=4, clip_on=False)
    panel.set_xticks(layers, [f"$h_{{{layer}}}$" for layer in layers])


def figure_2(heatmaps: Mapping[str, NDArray], class_names: Sequence[str], title: str) -> Any:
    """Draws class x layer heatmaps side by side, one per title."""
    import matplotlib.pyplot as plt

    layers = next(iter(heatmaps.values())).shape[1]
    # With many layers each gets little attention: a scale up to 1 would show no contrast.
    largest = 1.0 if layers < MANY_LAYERS else max(float(np.nanmax(values)) for values in heatmaps.values())
    figure, panels = plt.subplots(
        1,
        len(heatmaps),
        figsize=(max(WIDTH, len(heatmaps)), max(2.2, 1.0 + 0.27 * len(class_names))),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for panel, (name, values) in zip(panels[0], heatmaps.items(), strict=True):
        image = panel.imshow(values, vmin=0, vmax=largest, cmap=COLOUR_MAP, aspect="auto")
        _name_and_number(panel, values, largest, columns=layers * len(heatmaps))
        panel.set_yticks(range(len(class_names)), class_names)
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
        panel.set_title(name)
    figure.suptitle(title, size=9)
    figure.colorbar(image, ax=panels[0], label="attention", aspect=15)
    return figure


def _name_and_number(panel: Any, values: NDArray, largest: float, columns: int) -> None:
    layers = values.shape[1]
    step = min(layers, -(-columns // MANY_COLUMNS))
    named = range(step - 1, layers, step)
    panel.set_xticks(named, [f"$h_{{{layer + 1}}}$" for layer in named])
    if columns > MANY_COLUMNS:
        return
    for row, column in np.argwhere(~np.isnan(values)):
        value = values[row, column]
        colour = "white" if value > 0.6 * largest else "black"
        panel.text(column, row, f"{value:.2f}", ha="center", va="center", size=8, color=colour)


def save(figure: Any, path: Path) -> None:
    """Writes a figure as PNG and PDF, reproducibly to the byte."""
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), metadata={"Software": None})
    figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None, "Producer": None})
    plt.close(figure)
