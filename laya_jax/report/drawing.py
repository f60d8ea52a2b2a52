"""Geometry of the report's charts: positions in an SVG, which the templates draw.

This module writes no markup and escapes nothing; names are passed to the templates unchanged.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 380.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 26.0, 42.0
"""Size of a chart and of the margins around its plot, in units of the SVG; its font size is 12."""

MOST_LABELS = 13
"""Maximum number of labels on the horizontal axis; with more layers, some are unlabelled."""

BAR = 0.74
"""Width of a bar, relative to the distance between bars."""

Point = tuple[float, float]


class Tick(NamedTuple):
    """Mark on an axis: its position in the SVG, and its label, which may be empty."""

    position: float
    label: str


class Series(NamedTuple):
    """Curve to draw.

    Attributes:
      name: Name in the legend and in the table behind the chart.
      style: Class in the style sheet: "contributions", "attention", "random", "best" or "first", "alone".
      values: Value at each position.
    """

    name: str
    style: str
    values: Sequence[float]


class Line(NamedTuple):
    """Drawn curve: its series, and its points in the SVG."""

    series: Series
    points: tuple[Point, ...]

    @property
    def path(self) -> str:
        """Points as in the ``points`` attribute of a polyline."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.points)


class Bar(NamedTuple):
    """Drawn bar of one layer.

    Attributes:
      x: Left edge.
      y: Upper edge.
      width: Width.
      height: Height.
      depth: Depth of the layer from 0, the first, to 1, the last; it determines the colour.
      whisker: Upper and lower end of the error bar.
      others: Points of the other runs.
    """

    x: float
    y: float
    width: float
    height: float
    depth: float
    whisker: Point
    others: tuple[Point, ...]


class Rule(NamedTuple):
    """Drawn horizontal line for a reference value: its height, and its name in the legend."""

    y: float
    name: str


class Chart(NamedTuple):
    """Chart with all positions computed.

    Attributes:
      x_ticks: Ticks of the horizontal axis.
      y_ticks: Ticks of the vertical axis, from 0.
      lines: Curves, or none.
      bars: Bars, or none.
      rules: Reference lines.
    """

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    rules: tuple[Rule, ...] = ()
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


class Scale(NamedTuple):
    """Linear scale from values to positions in the SVG."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Returns the position of a value.

        >>> Scale(0.0, 2.0, 100.0, 0.0)(0.5)
        75.0
        """
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


def line_chart(labels: Sequence[str], series: Sequence[Series], rules: Sequence[tuple[float, str]]) -> Chart:
    """Places curves of fractions over the same positions.

    Args:
      labels: Label of each position, from left to right.
      series: Curves, with one value for each position.
      rules: Value and name of each reference line.

    Raises:
      ValueError: A value is not finite.

    >>> chart = line_chart(("1", "2"), [Series("probability", "attention", (0.0, 1.0))], [])
    >>> chart.lines[0].path
    '44,194 368,26'
    """
    values = [*(value for each in series for value in each.values), *(value for value, _ in rules)]
    up, y_ticks = _fractions(values)
    across = Scale(0, max(len(labels) - 1, 1), LEFT, WIDTH - RIGHT)
    places = [across(place) for place in range(len(labels))]
    lines = [
        Line(each, tuple(zip(places, [up(value) for value in each.values], strict=True)))
        for each in series
        if each.values
    ]
    return Chart(_named(places, labels), y_ticks, lines=tuple(lines), rules=_rules(rules, up))


def bar_chart(
    labels: Sequence[str],
    mean: Sequence[float],
    deviation: Sequence[float],
    others: Sequence[Sequence[float]],
    rules: Sequence[tuple[float, str]],
) -> Chart:
    """Places a bar for each layer.

    Args:
      labels: Name of each layer, from the first to the last.
      mean: Fraction of each layer.
      deviation: Standard deviation of each layer; error bars end at 0 and 1.
      others: Fractions of each layer in other runs, which are drawn as points.
      rules: Value and name of each reference line.

    Raises:
      ValueError: A value is not finite.

    >>> bar = bar_chart(("h1", "h2"), (0.5, 0.5), (0.1, 0.1), [], []).bars[0]
    >>> bar.x, bar.width, bar.depth
    (65.06, 119.88, 0.0)
    """
    highs = [min(1.0, value + spread) for value, spread in zip(mean, deviation, strict=True)]
    up, y_ticks = _fractions([*highs, *(value for each in others for value in each)])
    step = (WIDTH - LEFT - RIGHT) / len(labels)
    centres = [round(LEFT + step * (layer + 0.5), 2) for layer in range(len(labels))]
    bars = []
    for layer, centre in enumerate(centres):
        y, width, low = up(mean[layer]), round(BAR * step, 2), max(0.0, mean[layer] - deviation[layer])
        bar = Bar(
            x=round(centre - width / 2, 2),
            y=y,
            width=width,
            height=round(up(0) - y, 2),
            depth=round(layer / max(len(labels) - 1, 1), 3),
            whisker=(up(highs[layer]), up(low)),
            others=tuple((centre, up(each[layer])) for each in others),
        )
        bars.append(bar)
    return Chart(_named(centres, labels), y_ticks, bars=tuple(bars), rules=_rules(rules, up))


def _fractions(values: Sequence[float]) -> tuple[Scale, tuple[Tick, ...]]:
    """Makes the vertical scale, from 0 to a round percentage that is not below any value, and its ticks."""
    if not all(map(math.isfinite, values)):
        raise ValueError(f"values are {values}, expected finite numbers")
    largest = max([0.01, *values])
    step = next((step for step in (0.01, 0.02, 0.05, 0.1) if largest <= 5 * step), 0.2)
    number = math.ceil(round(largest / step, 6))
    up = Scale(0, number * step, HEIGHT - BOTTOM, TOP)
    return up, tuple(Tick(up(i * step), f"{100 * i * step:.0f}%") for i in range(number + 1))


def _named(places: Sequence[float], labels: Sequence[str]) -> tuple[Tick, ...]:
    """Makes the horizontal ticks; if there are many, only every second, third, ... has a label."""
    every = -(-len(labels) // MOST_LABELS)
    shown = [label if (len(labels) - 1 - i) % every == 0 else "" for i, label in enumerate(labels)]
    return tuple(map(Tick, places, shown))


def _rules(rules: Sequence[tuple[float, str]], up: Scale) -> tuple[Rule, ...]:
    return tuple(Rule(up(value), name) for value, name in rules)
