"""Charts as inline SVG text, each with a table of the same numbers; no script, no outside file.

Colours come from the CSS variables `--accent`, `--muted`, `--warn`; without them the text colour is used.
A chart is 400 units wide with 14-unit text, so that it stays readable on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from provetune.report.words import estimate_text, shorten, visible
from provetune.stats.estimate import Estimate

_WIDTH, _LEFT, _RIGHT, _ROW = 400.0, 12.0, 388.0, 44.0
_ACCENT, _MUTED, _WARN = "var(--accent, currentColor)", "var(--muted, currentColor)", "var(--warn, currentColor)"
_NAME_LENGTH = 24


@dataclass(frozen=True)
class ChartText:
    """The words of a chart: `chart_id` is unique on the page, `description` says what is to be seen."""

    chart_id: str
    title: str
    description: str
    x: str = ""
    y: str = ""


@dataclass(frozen=True)
class ForestRow:
    """A difference with its interval, and the margin it must clear (None: no margin was set)."""

    name: str
    difference: Estimate
    margin: float | None = None


@dataclass(frozen=True)
class BarRow:
    """A score with its interval; `strong` marks the candidate that the page is about."""

    name: str
    score: Estimate
    strong: bool = False


@dataclass(frozen=True)
class Series:
    """Points (x, y) by rising x; `dots` draws markers joined by a dashed line instead of a plain line."""

    name: str
    points: tuple[tuple[float, float], ...]
    dots: bool = False


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def smooth(points: Sequence[tuple[float, float]], limit: int = 400) -> tuple[tuple[float, float], ...]:
    """Means over runs of neighbours of equal length, at most `limit` of them; points that are not finite are left out.

    >>> smooth([(1, 4.0), (2, 2.0), (3, 1.0), (4, 1.0)], limit=2)
    ((1.5, 3.0), (3.5, 1.0))
    """
    finite = [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    width = max(1, math.ceil(len(finite) / limit))
    chunks = [finite[at : at + width] for at in range(0, len(finite), width)]
    return tuple((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in chunks)


def ticks(low: float, high: float, wanted: int = 5) -> tuple[float, ...]:
    """Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high].

    >>> ticks(0.0, 1.0)
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(k * step, 12) for k in range(first, last + 1))


def forest_plot(rows: Sequence[ForestRow], text: ChartText) -> str:
    """Differences with intervals, a solid line at zero and a dashed one at the margin."""
    numbers = [n for row in rows for n in (*_numbers(row.difference), row.margin or 0.0)]
    scale = _padded(min([0.0, *numbers]), max([0.0, *numbers]))
    first = 34.0
    bottom = first + _ROW * len(rows)
    parts = [_axis_below(scale, bottom, text.x, signed=True), _forest_legend(any(row.margin for row in rows))]
    for k, row in enumerate(rows):
        top = first + k * _ROW
        parts.append(_row_words(row.name, estimate_text(row.difference, signed=True), top, strong=False))
        # The lines stop below the words of each row, so that they never strike a name through.
        parts.append(_line((scale(0), top + 17), (scale(0), top + 40), "currentColor"))
        if row.margin:
            parts.append(_line((scale(row.margin), top + 17), (scale(row.margin), top + 40), _WARN, dash="4 3"))
        parts.append(_interval(row.difference, scale, top + 28, dot=True))
    return _svg(parts, bottom + (46 if text.x else 28), text)


def forest_table(rows: Sequence[ForestRow], text: ChartText) -> str:
    """The numbers of `forest_plot`."""
    margins = ["none" if row.margin is None else f"{row.margin:g}" for row in rows]
    lines = [
        (row.name, estimate_text(row.difference, signed=True), str(row.difference.n), margin, row.difference.method)
        for row, margin in zip(rows, margins, strict=True)
    ]
    return _table(text, ("compared with", "difference [low, high]", "n", "margin", "interval"), lines)


def bars(rows: Sequence[BarRow], text: ChartText) -> str:
    """Scores as horizontal bars from zero, each with its interval as a whisker."""
    numbers = [n for row in rows for n in _numbers(row.score)]
    low, high = min([0.0, *numbers]), max([0.0, *numbers])
    scale = _Scale(low, 1.0 if high <= 1.0 else high * 1.05, _LEFT, _RIGHT)
    bottom = 8 + _ROW * len(rows)
    parts = [_axis_below(scale, bottom, text.x, signed=False)]
    for k, row in enumerate(rows):
        top = 8 + k * _ROW
        parts.append(_row_words(row.name, estimate_text(row.score), top, strong=row.strong))
        if row.score.value is not None:
            fill = f'fill="{_ACCENT}" fill-opacity="{0.75 if row.strong else 0.25}" stroke="{_ACCENT}"'
            ends = sorted((scale(0.0), scale(row.score.value)))
            width = ends[1] - ends[0]
            parts.append(f'<rect x="{ends[0]:.1f}" y="{top + 21:.0f}" width="{width:.1f}" height="14" {fill}/>')
        parts.append(_interval(row.score, scale, top + 28, dot=False))
    return _svg(parts, bottom + (46 if text.x else 28), text)


def bars_table(rows: Sequence[BarRow], text: ChartText) -> str:
    """The numbers of `bars`."""
    lines = [(row.name, estimate_text(row.score), str(row.score.n), row.score.method) for row in rows]
    return _table(text, ("candidate", "score [low, high]", "n", "interval"), lines)


def line_chart(series: Sequence[Series], text: ChartText, best_step: int | None = None) -> str:
    """Curves over x; each series is smoothed to at most 400 points; a labelled line stands at `best_step`."""
    curves = [(one, smooth(one.points)) for one in series]
    points = [point for _, curve in curves for point in curve]
    if not points:
        return _svg(['<text x="16" y="30" fill="currentColor">no points were recorded</text>'], 50, text)
    across = _Scale(*_spread(min(x for x, _ in points), max(x for x, _ in points), 1.0), 56.0, _RIGHT)
    heights = _padded(min(y for _, y in points), max(y for _, y in points))
    down = _Scale(heights.low, heights.high, 250.0, 38.0 + 22.0 * len(series))
    parts = [_axis_below(across, 250.0, text.x, signed=False), _axis_left(down, text.y)]
    if best_step is not None and across.low <= best_step <= across.high:
        at = across(best_step)
        place = f'x="{at - 5:.1f}" text-anchor="end"' if at > 240 else f'x="{at + 5:.1f}"'
        parts.append(_line((at, down.end), (at, 250), _WARN, dash="4 3"))
        parts.append(f'<text {place} y="{down.end + 12:.0f}" fill="currentColor">best step {best_step:,}</text>')
    for k, (one, curve) in enumerate(curves):
        parts.append(_curve(one, curve, across, down))
        parts.append(_legend(one, k))
    return _svg(parts, 250 + (46 if text.x else 28), text)


def line_table(series: Sequence[Series], text: ChartText, limit: int = 40) -> str:
    """The numbers of `line_chart`, each series as means over at most `limit` runs of neighbours."""
    lines = [(one.name, f"{x:,.0f}", f"{y:.4f}") for one in series for x, y in smooth(one.points, limit)]
    return _table(text, ("series", text.x or "x", text.y or "y"), lines)


def _numbers(estimate: Estimate) -> list[float]:
    return [n for n in (estimate.value, estimate.low, estimate.high) if n is not None and math.isfinite(n)]


def _spread(low: float, high: float, least: float) -> tuple[float, float]:
    """A range that is wide enough to divide by."""
    return (low, high) if high - low >= least else (low - least / 2, high + least / 2)


def _padded(low: float, high: float) -> _Scale:
    low, high = _spread(low, high, 1e-6)
    room = 0.06 * (high - low)
    return _Scale(low - room, high + room, _LEFT, _RIGHT)


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, *, dash: str = "", width: float = 1.5) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def _interval(estimate: Estimate, scale: _Scale, y: float, *, dot: bool) -> str:
    drawn = ""
    if estimate.low is not None and estimate.high is not None:
        low, high = scale(estimate.low), scale(estimate.high)
        drawn += _line((low, y), (high, y), "currentColor", width=2) + _line((low, y - 5), (low, y + 5), "currentColor", width=2)
        drawn += _line((high, y - 5), (high, y + 5), "currentColor", width=2)
    if dot and estimate.value is not None:
        drawn += f'<circle cx="{scale(estimate.value):.1f}" cy="{y:.1f}" r="5" fill="{_ACCENT}" stroke="currentColor"/>'
    return drawn


def _forest_legend(margin: bool) -> str:
    drawn = (
        _line((_LEFT + 6, 2), (_LEFT + 6, 18), "currentColor") + f'<text x="{_LEFT + 14:.0f}" y="15" fill="{_MUTED}">no difference</text>'
    )
    if margin:
        drawn += _line((150, 2), (150, 18), _WARN, dash="4 3") + f'<text x="158" y="15" fill="{_MUTED}">margin asked for</text>'
    return drawn


def _row_words(name: str, value: str, top: float, *, strong: bool) -> str:
    clean = " ".join(visible(name).split())
    short = clean if len(clean) <= _NAME_LENGTH else f"{clean[: _NAME_LENGTH - 1]}…"
    weight = ' font-weight="700"' if strong else ""
    return (
        f'<text x="{_LEFT:.0f}" y="{top + 12:.0f}" fill="currentColor"{weight}>{escape(short)}</text>'
        f'<text x="{_RIGHT:.0f}" y="{top + 12:.0f}" fill="currentColor" text-anchor="end"{weight}>{escape(value)}</text>'
    )


def _axis_below(scale: _Scale, y: float, label: str, *, signed: bool) -> str:
    marks = ticks(scale.low, scale.high)
    digits = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9)) if len(marks) > 1 else 2
    drawn = _line((scale.start, y), (scale.end, y), _MUTED, width=1)
    for mark in marks:
        number = f"{mark:+.{digits}f}" if signed and mark else f"{mark:,.{digits}f}"
        drawn += _line((scale(mark), y), (scale(mark), y + 5), _MUTED, width=1)
        drawn += f'<text x="{scale(mark):.1f}" y="{y + 20:.0f}" text-anchor="middle" fill="{_MUTED}">{number}</text>'
    if label:
        place = f'x="{(scale.start + scale.end) / 2:.0f}" y="{y + 38:.0f}"'
        drawn += f'<text {place} text-anchor="middle" fill="{_MUTED}">{escape(visible(label))}</text>'
    return drawn


def _axis_left(scale: _Scale, label: str) -> str:
    drawn = f'<text x="{_LEFT:.0f}" y="{scale.end - 14:.0f}" fill="{_MUTED}">{escape(visible(label))}</text>' if label else ""
    for mark in ticks(scale.low, scale.high, 4):
        drawn += _line((56, scale(mark)), (_RIGHT, scale(mark)), _MUTED, width=0.4)
        drawn += f'<text x="50" y="{scale(mark) + 5:.1f}" text-anchor="end" fill="{_MUTED}">{mark:.4g}</text>'
    return drawn


def _curve(series: Series, points: Iterable[tuple[float, float]], across: _Scale, down: _Scale) -> str:
    places = [(across(x), down(y)) for x, y in points]
    colour, dash = ("currentColor", ' stroke-dasharray="5 4"') if series.dots else (_ACCENT, "")
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    drawn = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>'
    if series.dots:
        drawn += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="currentColor"/>' for x, y in places)
    return drawn


def _legend(series: Series, place: int) -> str:
    y = 14.0 + 22 * place
    mark = f'<circle cx="26" cy="{y - 5:.0f}" r="3.5" fill="currentColor"/>' if series.dots else ""
    line = _line((12, y - 5), (40, y - 5), "currentColor" if series.dots else _ACCENT, dash="5 4" if series.dots else "", width=2)
    return f'{line}{mark}<text x="48" y="{y:.0f}" fill="currentColor">{escape(visible(series.name))}</text>'


def _svg(parts: Iterable[str], height: float, text: ChartText) -> str:
    name = escape(text.chart_id)
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" aria-labelledby="{name}-title {name}-desc" '
        f'font-size="14" font-family="inherit"><title id="{name}-title">{escape(visible(text.title))}</title>'
        f'<desc id="{name}-desc">{escape(visible(text.description))}</desc>{"".join(parts)}</svg>'
    )


def _table(text: ChartText, heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(visible(cell))}</th>' for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(visible(shorten(line[0], 200)))}</th>'
        + "".join(f"<td>{escape(visible(cell))}</td>" for cell in line[1:])
        + "</tr>"
        for line in lines
    )
    label = escape(visible(text.title))
    return (
        f'<details class="twin" data-for="{escape(text.chart_id)}"><summary>Show as table: {label}</summary>'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table><caption>{label}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )
