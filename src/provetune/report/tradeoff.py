"""Task gain against retention: one numbered point per candidate, with both intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from provetune.report.svg import _ACCENT, _MUTED, _WARN, ChartText, _axis_below, _axis_left, _line, _numbers, _Scale, _svg, _table
from provetune.report.words import estimate_text, shorten, visible
from provetune.stats.estimate import Estimate

_LEFT, _RIGHT, _TOP, _BOTTOM, _ROW = 56.0, 388.0, 40.0, 290.0, 22.0


@dataclass(frozen=True)
class TradeoffPoint:
    """What a candidate gained on the task, and what it kept of the base's skills (0: all, below 0: less); both are differences."""

    name: str
    gain: Estimate
    kept: Estimate
    strong: bool = False


def tradeoff(points: Sequence[TradeoffPoint], text: ChartText, margin: float) -> str:
    """Across what was kept, up what was gained; the dashed line is the largest loss that the rules allow (`margin`, above 0)."""
    drawn = [p for p in points if p.gain.value is not None and p.kept.value is not None]
    across = _scale([n for p in drawn for n in _numbers(p.kept)] + [0.0, -margin], _LEFT, _RIGHT)
    up = _scale([n for p in drawn for n in _numbers(p.gain)] + [0.0], _BOTTOM, _TOP)
    parts = [
        _axis_below(across, _BOTTOM, text.x, signed=True),
        _axis_left(up, text.y),
        _line((across(0), _TOP), (across(0), _BOTTOM), "currentColor", width=1),
        _line((_LEFT, up(0)), (_RIGHT, up(0)), "currentColor", width=1),
        _line((across(-margin), _TOP), (across(-margin), _BOTTOM), _WARN, dash="4 3"),
    ]
    first = _BOTTOM + (60 if text.x else 42)
    for number, point in enumerate(drawn, start=1):
        parts.append(_point(number, point, across, up))
        weight = ' font-weight="700"' if point.strong else ""
        name = escape(visible(shorten(point.name, 44)))
        parts.append(f'<text x="12" y="{first + _ROW * (number - 1):.0f}" fill="currentColor"{weight}>{number}  {name}</text>')
    return _svg(parts, first + _ROW * len(drawn), text)


def tradeoff_table(points: Sequence[TradeoffPoint], text: ChartText) -> str:
    """The numbers of `tradeoff`, those that were not measured as well."""
    lines = [
        (p.name, estimate_text(p.gain, signed=True), str(p.gain.n), estimate_text(p.kept, signed=True), str(p.kept.n), p.kept.method)
        for p in points
    ]
    return _table(text, ("candidate", "gain on the task [low, high]", "n", "skills kept [low, high]", "n", "interval"), lines)


def _scale(numbers: Sequence[float], start: float, end: float) -> _Scale:
    low, high = min(numbers), max(numbers)
    room = 0.08 * (high - low) or 0.01
    return _Scale(low - room, high + room, start, end)


def _point(number: int, point: TradeoffPoint, across: _Scale, up: _Scale) -> str:
    assert point.kept.value is not None and point.gain.value is not None
    x, y = across(point.kept.value), up(point.gain.value)
    drawn = ""
    if point.kept.low is not None and point.kept.high is not None:
        drawn += _line((across(point.kept.low), y), (across(point.kept.high), y), _MUTED)
    if point.gain.low is not None and point.gain.high is not None:
        drawn += _line((x, up(point.gain.low)), (x, up(point.gain.high)), _MUTED)
    fill = _ACCENT if point.strong else "currentColor"
    drawn += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="currentColor"/>'
    return drawn + f'<text x="{x + 8:.1f}" y="{y - 7:.1f}" fill="currentColor">{number}</text>'
