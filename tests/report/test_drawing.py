import math

import pytest

from laya_jax.report.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Series, bar_chart, line_chart


def test_a_line_starts_and_ends_at_the_edges_of_the_plot_and_is_linear_between():
    chart = line_chart(("0", "1", "2"), [Series("p", "best", (1.0, 0.25, 0.0))], [(0.5, "half")])
    (line,) = chart.lines
    middle, height = (LEFT + WIDTH - RIGHT) / 2, HEIGHT - TOP - BOTTOM
    assert line.points == (
        (LEFT, TOP),
        (middle, TOP + 0.75 * height),
        (WIDTH - RIGHT, HEIGHT - BOTTOM),
    )
    assert chart.rules[0].y == TOP + 0.5 * height
    assert [tick.position for tick in chart.x_ticks] == [x for x, _ in line.points]
    assert [tick.label for tick in chart.y_ticks] == ["0%", "20%", "40%", "60%", "80%", "100%"]


@pytest.mark.parametrize(
    ("largest", "top"),
    [(0.004, "1%"), (0.012, "2%"), (0.1, "10%"), (0.31, "40%"), (0.5, "50%"), (0.51, "60%"), (1.0, "100%")],
)
def test_the_scale_ends_at_a_round_percentage_that_is_not_below_the_largest_value(largest, top):
    chart = line_chart(("1",), [Series("p", "best", (largest,))], [])
    assert chart.y_ticks[-1].label == top
    assert chart.y_ticks[-1].position == TOP
    assert len(chart.y_ticks) <= 6
    assert chart.lines[0].points[0][1] >= TOP


def test_bars_stand_on_zero_with_error_bars_cut_at_0_and_1():
    chart = bar_chart(("h1", "h2"), (0.9, 0.1), (0.3, 0.2), [(0.5, 0.5)], [])
    first, last = chart.bars
    height = HEIGHT - TOP - BOTTOM
    assert first.height == pytest.approx(0.9 * height, abs=0.02)
    assert first.y + first.height == pytest.approx(HEIGHT - BOTTOM)
    assert first.whisker == (TOP, pytest.approx(TOP + 0.4 * height, abs=0.02))
    assert last.whisker[1] == HEIGHT - BOTTOM
    assert (first.depth, last.depth) == (0, 1)
    assert last.x - first.x == pytest.approx((WIDTH - LEFT - RIGHT) / 2, abs=0.02)
    assert first.others == ((first.x + first.width / 2, TOP + height / 2),)


def test_one_layer_has_a_bar_and_a_point():
    assert bar_chart(("h1",), (1.0,), (0.0,), [], []).bars[0].depth == 0
    assert line_chart(("1",), [Series("p", "best", (1.0,))], []).lines[0].points == ((LEFT, TOP),)


def test_many_layers_are_not_all_named_but_the_last_is():
    names = [f"h{layer}" for layer in range(1, 49)]
    shown = [tick.label for tick in bar_chart(names, [1 / 48] * 48, [0] * 48, [], []).x_ticks if tick.label]
    assert len(shown) == 12
    assert shown[-1] == "h48"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_rejected(value):
    with pytest.raises(ValueError, match="expected finite numbers"):
        line_chart(("1", "2"), [Series("p", "best", (0.5, value))], [])
