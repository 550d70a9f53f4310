from __future__ import annotations

from xml.etree import ElementTree

import pytest

from provetune.report.svg import ChartText
from provetune.report.tradeoff import TradeoffPoint, tradeoff, tradeoff_table
from provetune.stats.estimate import Estimate

TEXT = ChartText("c1", "a title", "a description", "skills kept", "gain")


def estimate(value: float | None, half: float = 0.02) -> Estimate:
    return Estimate(value, None if value is None else value - half, None if value is None else value + half, 100, 0.95, "bootstrap")


POINTS = [
    TradeoffPoint("tuned <lora>", estimate(0.30), estimate(-0.01), strong=True),
    TradeoffPoint("tuned-full", estimate(0.35), estimate(-0.20)),
    TradeoffPoint("prompt", estimate(0.0), estimate(0.0)),
    TradeoffPoint("endpoint", estimate(0.2), estimate(None)),
]


def test_points_stand_where_their_numbers_are() -> None:
    root = ElementTree.fromstring(tradeoff(POINTS, TEXT, 0.05))
    dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in root.iter("circle")]
    assert len(dots) == 3, "what was not measured has no place"
    (lora_x, lora_y), (full_x, full_y), (prompt_x, prompt_y) = dots
    assert full_x < lora_x < prompt_x and full_y < lora_y < prompt_y  # left is forgotten, up is gained
    assert (lora_x - full_x) / (prompt_x - full_x) == pytest.approx(0.19 / 0.20, abs=0.01)
    [margin] = [line for line in root.iter("line") if line.get("stroke-dasharray")]
    assert full_x < float(margin.attrib["x1"]) < lora_x
    assert float(root.attrib["viewBox"].split()[3]) > max(float(text.attrib["y"]) for text in root.iter("text"))


def test_the_table_holds_every_candidate() -> None:
    root = ElementTree.fromstring(tradeoff_table(POINTS, TEXT))
    assert [head.text for head in root.iter("th")][6:] == [point.name for point in POINTS]
    assert "not measured" in tradeoff_table(POINTS, TEXT)


def test_no_candidate_draws_the_axes() -> None:
    assert "<circle" not in tradeoff([], TEXT, 0.05)
