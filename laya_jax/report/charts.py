"""Figures of a report: profiles, curves over the number of layers, and accuracy over depth."""

from collections.abc import Sequence
from typing import NamedTuple

from laya_jax.report.answers import Reading
from laya_jax.report.drawing import Chart, Series, bar_chart, line_chart
from laya_jax.report.verdicts import Numbers
from laya_jax.report.verdicts import number as number_of

ORDERS = {
    "contributions": "by contribution",
    "attention": "by attention",
    "random": "in random order",
    "best": "in the best order",
}
"""Orders of the layers in the curves, and their names."""

SIDES = {
    "without": ("Layers left out", "falls", "number of layers left out", "comprehensiveness_score"),
    "only": ("Layers kept", "rises", "number of layers kept", "sufficiency_score"),
}
"""Title, direction of a faithful curve, horizontal axis and score of the two charts of curves."""


class Figure(NamedTuple):
    """Chart with its texts, and the numbers behind it.

    Attributes:
      key: Prefix of the ids on the page.
      title: Title.
      meaning: Sentence on how to read it, also its description for screen readers.
      x_label: Name of the horizontal axis, with its unit.
      y_label: Name of the vertical axis; its unit is on the ticks.
      chart: Drawing.
      columns: Head of the table of its numbers.
      rows: Rows of that table, as text.
      notes: Sentences on the measured faithfulness and stability.
      caution: Reason not to read the figure; if there is one, bars are drawn in grey.
    """

    key: str
    title: str
    meaning: str
    x_label: str
    y_label: str
    chart: Chart
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...] = ()
    caution: str = ""

    @property
    def other_runs(self) -> bool:
        """True if bars have points of other runs."""
        return any(bar.others for bar in self.chart.bars)


def profile_figure(reading: Reading, layers: Sequence[str], others: Sequence[Sequence[float]]) -> Figure:
    """Draws the depth profile of contributions or of attention.

    Args:
      reading: Profile, and the verdicts on it.
      layers: Names of the layers.
      others: Profiles of other seeds.
    """
    uniform = (1 / len(layers), "uniform")
    meaning = {
        "contributions": "Mean share of each layer in the contributions to the logits, by norm.",
        "attention": "Mean weight of each layer in the mix. A large weight need not mean a large effect.",
    }[reading.name]
    columns = ("layer", "mean", "standard deviation", *(f"other seed {i}" for i in range(1, len(others) + 1)))
    values = zip(layers, reading.mean, reading.deviation, *others, strict=True)
    return Figure(
        key=reading.name,
        title=f"{reading.name.capitalize()} over depth",
        meaning=meaning,
        x_label="layer, from input to output",
        y_label={"contributions": "share of contributions", "attention": "attention"}[reading.name],
        chart=bar_chart(
            layers, reading.mean, reading.deviation, others, [uniform] if len(layers) > 1 else []
        ),
        columns=columns,
        rows=[(name, *map(_three, rest)) for name, *rest in values],
        notes=(reading.reads, *reading.measured),
        caution=reading.caution,
    )


def curve_figures(curves: Numbers) -> list[Figure]:
    """Draws the probability of the prediction against the number of layers left out, and of layers kept."""
    return [_curve_figure(curves, side) for side in SIDES] if curves["attention"]["only"] else []


def depth_figure(measured: Numbers, layers: Sequence[str], accuracy: float, classes: int) -> Figure:
    """Draws the accuracy from the first layers, and from each layer alone.

    Args:
      measured: Accuracy over depth.
      layers: Names of the layers.
      accuracy: Accuracy from all layers.
      classes: Number of classes.
    """
    series = (
        Series("up to this layer", "first", measured["first"]),
        Series("this layer alone", "alone", measured["alone"]),
    )
    return Figure(
        key="depth",
        title="Accuracy over depth",
        meaning="Accuracy of the trained head when it reads only some of the layers, without retraining.",
        x_label="layer, from input to output",
        y_label="accuracy",
        chart=line_chart(layers, series, [(accuracy, "all layers"), (1 / classes, "guessing")]),
        columns=("layer", *(each.name for each in series)),
        rows=_rows(layers, series),
    )


def _curve_figure(curves: Numbers, side: str) -> Figure:
    title, moves, x_label, score = SIDES[side]
    by_contribution, by_attention = number_of(curves["contributions"][score]), number_of(curves[score])
    number = len(curves["attention"]["only"]) + 1
    full = curves["full"]
    before, after = ([full], []) if side == "without" else ([], [full])
    series = [Series(name, order, [*before, *curves[order][side], *after]) for order, name in ORDERS.items()]
    labels = [str(k) for k in (range(number) if side == "without" else range(1, number + 1))]
    return Figure(
        key=side,
        title=title,
        meaning=f"An order is faithful if its curve {moves} as fast as that of the best order.",
        x_label=x_label,
        y_label="mean probability of the prediction",
        chart=line_chart(labels, series, []),
        columns=("layers", *ORDERS.values()),
        rows=_rows(labels, series),
        notes=(
            f"On a scale from 0 (random order) to 1 (best order): contributions {by_contribution}, "
            f"attention {by_attention}.",
        ),
    )


def _rows(labels: Sequence[str], series: Sequence[Series]) -> list[tuple[str, ...]]:
    return [
        (label, *map(_three, values))
        for label, *values in zip(labels, *(each.values for each in series), strict=True)
    ]


def _three(value: float) -> str:
    return f"{value:.3f}"
