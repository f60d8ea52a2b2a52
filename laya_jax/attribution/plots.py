"""Matplotlib figures of attributions. Every function returns a figure to show or to save.

Each layer has the same colour in every figure, from one sequential palette over depth.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution.attention_similarity import similarity
from laya_jax.attribution.contributions import of_class
from laya_jax.attribution.curves import LayerCurves
from laya_jax.attribution.depth_profiles import ClassProfile, Profiles
from laya_jax.attribution.explanation import Explanation

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import matplotlib.image

ANCHORS = ("#04a19b", "#00949e", "#0085a0", "#0076a1", "#00659f", "#00549c", "#134195", "#272d8c", "#31167e")
"""Sequential palette of the layers, from the first to the last: lightness falls with depth, so that the order
also shows in grey and to colour-blind readers."""

STYLE: Any = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "savefig.bbox": "tight",
    "savefig.dpi": 200,
}


def depth_colours(number: int) -> NDArray:
    """Returns the colours of a number of layers, from the first to the last, as RGBA from 0 to 1.

    >>> depth_colours(3).shape
    (3, 4)
    """
    from matplotlib.colors import LinearSegmentedColormap  # loaded late, like the rest of Matplotlib

    return LinearSegmentedColormap.from_list("depth", ANCHORS)(np.linspace(0, 1, number))


def profile_bars(profiles: Profiles, of: str = "attention") -> "matplotlib.figure.Figure":
    """Plots the mean of each layer, with its standard deviation over the samples.

    Args:
      profiles: Profiles of attention, or of the shares of the contributions.
      of: Label of the vertical axis.

    Reference: LAYA (arXiv 2511.12723), Figure 1.
    """
    with _figure(4, 2.4) as figure:
        axes = figure.subplots()
        number = len(profiles.mean)
        axes.bar(
            range(number), profiles.mean, yerr=profiles.deviation, color=depth_colours(number), capsize=3
        )
        _name_layers(axes, number)
        axes.set(ylim=(0, None), ylabel=of, xlabel="layer")
        return figure


def class_heatmaps(profiles: Profiles, class_names: Sequence[str]) -> "matplotlib.figure.Figure":
    """Plots mean attention by true class: for all samples, correct predictions and wrong ones.

    A class without samples stays blank.

    Reference: LAYA (arXiv 2511.12723), Figure 2.
    """
    groups = {"all": profiles.all, "correct": profiles.correct, "wrong": profiles.wrong}
    with _figure(9, 1.2 + 0.24 * len(class_names)) as figure:
        for axes, (name, group) in zip(figure.subplots(1, 3, sharey=True), groups.items(), strict=True):
            image = _heatmap(axes, group)
            axes.set_title(f"{name} ({int(group.samples.sum()):,})")
        figure.axes[0].set_yticks(range(len(class_names)), class_names)
        figure.colorbar(image, ax=figure.axes, label="attention", shrink=0.8)
        return figure


def stacked_contributions(
    explanation: Explanation, ids: Sequence[str] | None = None
) -> "matplotlib.figure.Figure":
    """Plots each layer's contribution to the predicted class as stacked bars, for a few dozen samples.

    Args:
      explanation: Explanation of the samples to show.
      ids: Names of the samples; None numbers them.
    """
    values = of_class(explanation.contributions, np.argmax(explanation.logits, axis=1))
    number, layers = values.shape
    with _figure(max(4, 0.25 * number), 3) as figure:
        axes = figure.subplots()
        above, below = np.zeros(number), np.zeros(number)
        for layer, colour in enumerate(depth_colours(layers)):
            column = values[:, layer]
            start = np.where(column >= 0, above, below)
            axes.bar(range(number), column, bottom=start, color=colour, label=f"h{layer + 1}")
            above, below = above + np.maximum(column, 0), below + np.minimum(column, 0)
        axes.plot(range(number), values.sum(axis=1), "k_", label="sum")
        axes.axhline(0, color="black", lw=0.8)
        axes.set_xticks(range(number), list(ids or map(str, range(number))), rotation=90)
        axes.set(ylabel="contribution to the predicted class", xlabel="sample")
        axes.legend(ncols=min(layers + 1, 7), loc="lower left", bbox_to_anchor=(0, 1))
        return figure


def faithfulness_curves(curves: LayerCurves) -> "matplotlib.figure.Figure":
    """Plots the predicted probability with layers left out, and kept alone, in three orders."""
    sides = {"without": "layers left out", "only": "layers alone"}
    with _figure(7, 2.6) as figure:
        for axes, (side, label) in zip(figure.subplots(1, 2, sharey=True), sides.items(), strict=True):
            for order, line in (("attention", "o-"), ("random", "s--"), ("best", "^:")):
                values = getattr(getattr(curves, order), side)
                axes.plot(range(1, len(values) + 1), values, line, label=order, ms=4)
            axes.axhline(curves.full, color="black", lw=0.8, label="all layers")
            axes.set(xlabel=label, ylim=(0, 1))
            axes.xaxis.get_major_locator().set_params(integer=True)
        figure.axes[0].set_ylabel("probability of the prediction")
        figure.axes[1].legend()
        return figure


def stability_map(attentions: Sequence[NDArray], names: Sequence[str]) -> "matplotlib.figure.Figure":
    """Plots the fraction of samples with the same top-attention layer, for each pair of runs.

    Args:
      attentions: Attention of each run on the same samples, [N, L].
      names: Names of the runs.
    """
    shares = [[similarity(one, other).same_top_layer for other in attentions] for one in attentions]
    with _figure(1.5 + 0.5 * len(names), 1 + 0.5 * len(names)) as figure:
        axes = figure.subplots()
        image = axes.imshow(shares, vmin=0, vmax=1, cmap="cividis")
        for (row, column), share in np.ndenumerate(np.array(shares)):
            axes.text(
                column,
                row,
                f"{share:.2f}",
                ha="center",
                va="center",
                color="white" if share < 0.6 else "black",
            )
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        figure.colorbar(image, ax=axes, label="same top layer")
        return figure


@contextmanager
def _figure(width: float, height: float) -> Iterator["matplotlib.figure.Figure"]:
    """Makes a figure that is independent of pyplot's global state."""
    # Takes as long to import as JAX does, and every command imports this package.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def _heatmap(axes: "matplotlib.axes.Axes", group: ClassProfile) -> "matplotlib.image.AxesImage":
    blank = np.broadcast_to(group.samples[:, None] == 0, group.attention.shape)
    shown = np.ma.masked_array(group.attention, blank)
    image = axes.imshow(shown, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    _name_layers(axes, group.attention.shape[1])
    return image


def _name_layers(axes: "matplotlib.axes.Axes", number: int) -> None:
    axes.set_xticks(range(number), [f"h{layer}" for layer in range(1, number + 1)])
