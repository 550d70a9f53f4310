from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.report.svg import (
    BarRow,
    ChartText,
    ForestRow,
    Series,
    bars,
    bars_table,
    forest_plot,
    forest_table,
    line_chart,
    line_table,
    smooth,
    ticks,
)
from provetune.stats.estimate import Estimate

TEXT = ChartText("c1", "a title", "a description", "x", "y")


def estimate(value: float | None, low: float | None, high: float | None) -> Estimate:
    return Estimate(value, low, high, 100, 0.95, "Wilson")


def test_each_chart_is_well_formed_and_has_title_and_description() -> None:
    charts = (
        forest_plot([ForestRow("a <b>", estimate(0.1, 0.05, 0.15), 0.02)], TEXT),
        bars([BarRow('"&', estimate(0.5, 0.4, 0.6), True)], TEXT),
        line_chart([Series("loss", ((1.0, 2.0), (2.0, 1.0)))], TEXT, best_step=2),
        line_chart([Series("loss", ())], TEXT),
    )
    for chart in charts:
        root = ElementTree.fromstring(chart)
        assert root.get("role") == "img"
        assert [child.tag for child in root[:2]] == ["title", "desc"]
        assert root.get("aria-labelledby") == f"{root[0].get('id')} {root[1].get('id')}"


def test_the_forest_plot_puts_zero_margin_and_estimate_in_order() -> None:
    root = ElementTree.fromstring(forest_plot([ForestRow("few-shot", estimate(0.10, 0.05, 0.15), 0.02)], TEXT))
    upright = [line for line in root.iter("line") if float(line.attrib["y1"]) > 30]
    dashed = [line for line in upright if line.get("stroke-dasharray")]
    zero = next(line for line in upright if line.get("stroke") == "currentColor")
    (dot,) = root.iter("circle")
    assert len(dashed) == 1
    unit = (float(dot.attrib["cx"]) - float(zero.attrib["x1"])) / 0.10
    assert float(dashed[0].attrib["x1"]) == pytest.approx(float(zero.attrib["x1"]) + 0.02 * unit, abs=0.2)


def test_a_row_that_was_not_measured_says_so_and_draws_no_dot() -> None:
    chart = forest_plot([ForestRow("few-shot", estimate(None, None, None))], TEXT)
    assert "not measured" in chart and "<circle" not in chart
    assert "<rect" not in bars([BarRow("few-shot", estimate(None, None, None))], TEXT)


def test_tables_hold_the_numbers_of_their_charts() -> None:
    assert "+0.100 [+0.050, +0.150]" in forest_table([ForestRow("few-shot", estimate(0.1, 0.05, 0.15), 0.02)], TEXT)
    assert "0.873 [0.861, 0.884]" in bars_table([BarRow("tuned", estimate(0.873, 0.861, 0.884))], TEXT)
    table = line_table([Series("loss", ((1.0, 2.5), (2.0, 1.25)))], TEXT)
    assert "2.5000" in table and "1.2500" in table and table.count("<tr>") == 3


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=2000), st.integers(1, 400))
def test_smoothing_keeps_the_limit_and_the_range(values: list[float], limit: int) -> None:
    points = [(float(k), value) for k, value in enumerate(values)]
    curve = smooth(points, limit)
    assert 1 <= len(curve) <= limit
    assert min(values) - 1e-6 <= min(y for _, y in curve) and max(y for _, y in curve) <= max(values) + 1e-6
    assert [x for x, _ in curve] == sorted(x for x, _ in curve)


def test_smoothing_takes_means_and_leaves_out_what_is_not_finite() -> None:
    assert smooth([(1, 4.0), (2, 2.0), (3, math.nan), (4, 1.0), (5, 1.0)], limit=2) == ((1.5, 3.0), (4.5, 1.0))


@given(st.floats(-1000, 1000), st.floats(1e-3, 1000))
def test_ticks_are_few_inside_and_evenly_apart(low: float, width: float) -> None:
    marks = ticks(low, low + width)
    assert 1 <= len(marks) <= 7
    assert all(low - 1e-6 * width <= mark <= low + width * (1 + 1e-6) for mark in marks)
    gaps = [b - a for a, b in zip(marks, marks[1:], strict=False)]
    assert all(gap == pytest.approx(gaps[0]) for gap in gaps)


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0, 3)), min_size=1, max_size=6), st.floats(-2, 2))
def test_nothing_is_drawn_outside_the_picture(rows: list[tuple[float, float]], margin: float) -> None:
    forest = [ForestRow(f"row {k}", estimate(value, value - half, value + half), margin) for k, (value, half) in enumerate(rows)]
    bar = [BarRow(f"row {k}", estimate(value, value - half, value + half)) for k, (value, half) in enumerate(rows)]
    for chart in (forest_plot(forest, TEXT), bars(bar, TEXT)):
        root = ElementTree.fromstring(chart)
        width = float(root.attrib["viewBox"].split()[2])
        across = [float(node.attrib[key]) for node in root.iter() for key in ("x1", "x2", "cx", "x") if key in node.attrib]
        assert all(0 <= x <= width for x in across)
