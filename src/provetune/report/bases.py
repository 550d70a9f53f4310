"""The choice of a base as a page of its own: quality against latency and cost, and the tables behind it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from provetune.records.bases import BakedBase, BaseCandidate, BaseComparison, obligations_of
from provetune.report.svg import (
    _ACCENT,
    _MUTED,
    ChartText,
    _axis_below,
    _axis_left,
    _line,
    _padded,
    _Scale,
    _svg,
    _table,
)
from provetune.report.words import estimate_text, shorten, visible

_LEFT, _RIGHT, _TOP, _BOTTOM, _ROW = 56.0, 388.0, 40.0, 250.0, 22.0
_STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}td,th{padding:.2rem .6rem}"


def pareto_chart(rows: Sequence[BakedBase], metric: str) -> str:
    """Quality up, milliseconds an answer across, the seconds of tuning beside each name; filled points are beaten by no other base."""
    text = ChartText(
        "bases", f"{metric} and latency of each base", "Filled points are beaten by no other base in all.", "ms an answer", metric
    )
    drawn = [row for row in rows if row.tuned.value is not None]
    if not drawn:
        return _svg(['<text x="16" y="30" fill="currentColor">no base was measured</text>'], 50, text)
    ends = [n for row in drawn for n in (row.tuned.value, row.tuned.low, row.tuned.high) if n is not None]
    times = [1000 * row.seconds_per_answer for row in drawn]
    wide, high = _padded(0.0, max(times)), _padded(min(ends), max(ends))
    across, up = _Scale(wide.low, wide.high, _LEFT, _RIGHT), _Scale(high.low, high.high, _BOTTOM, _TOP)
    parts = [_axis_below(across, _BOTTOM, text.x, signed=False), _axis_left(up, text.y)]
    for number, row in enumerate(drawn, start=1):
        x, y = across(1000 * row.seconds_per_answer), up(row.tuned.value or 0.0)
        if row.tuned.low is not None and row.tuned.high is not None:
            parts.append(_line((x, up(row.tuned.low)), (x, up(row.tuned.high)), _MUTED))
        fill = f'fill="{_ACCENT}"' if row.pareto else 'fill="none"'
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {fill} stroke="currentColor"/>')
        parts.append(f'<text x="{x + 8:.1f}" y="{y - 7:.1f}" fill="currentColor">{number}</text>')
        name = escape(visible(shorten(row.name, 36)))
        place = f'x="12" y="{_BOTTOM + 60 + _ROW * (number - 1):.0f}" fill="currentColor"'
        parts.append(f"<text {place}>{number}  {name}, {row.tuning_seconds:,.0f} s of tuning</text>")
    return _svg(parts, _BOTTOM + 60 + _ROW * len(drawn), text)


def bases_page(found: BaseComparison) -> str:
    """One HTML page without scripts: the sentence, the chart, the ranking, the facts, what each licence asks."""
    parts = [f"<h1>Base models</h1><p><strong>{escape(visible(found.sentence))}</strong></p>"]
    if found.baked:
        parts += [pareto_chart(found.baked, found.metric), _baked_table(found)]
    parts.append(_facts_table(found.candidates))
    notes = [f"<li>{escape(visible(line))}</li>" for line in notes_of(found)]
    notes += [f"<li>{escape(line)}</li>" for line in found.assumptions]
    parts.append(f"<ul>{''.join(notes)}</ul>")
    head = f'<meta charset="utf-8"><title>Base models</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def notes_of(found: BaseComparison) -> list[str]:
    """What is to be said of single bases; what is said of several is said once."""
    said: dict[str, list[str]] = {}
    for name, note in [*((one.name, one.note) for one in found.candidates), *((one.name, one.note) for one in found.baked)]:
        said.setdefault(note, []).append(name)
    return [f"{', '.join(names)}: {note}" for note, names in said.items() if note]


def _baked_table(found: BaseComparison) -> str:
    text = ChartText("bases", f"{found.metric}: {found.train_rows:,} rows tuned on, {found.validation_rows:,} validation rows", "")
    heads = ("base", "tier", "zero-shot", "tuned", "gain", "s of tuning", "ms an answer", "beaten by none")
    return _table(text, heads, [baked_cells(row) for row in found.baked])


def baked_cells(row: BakedBase) -> tuple[str, ...]:
    """One base of the ranking, in words."""
    gain = estimate_text(row.gain.difference, signed=True)
    times = (f"{row.tuning_seconds:,.0f}", f"{1000 * row.seconds_per_answer:,.1f}")
    return (row.name, str(row.tier), estimate_text(row.zero_shot), estimate_text(row.tuned), gain, *times, "yes" if row.pareto else "no")


FACT_HEADS = ("base", "licence", "parameters", "context", "tokens a word", "a letter", "bytes", "too long", "GiB", "hours", "")


def fact_cells(one: BaseCandidate) -> tuple[str, ...]:
    """One base as it stands, in words; a dash for what is not known."""
    cut = one.fertility
    size = "-" if one.parameters is None else f"{one.parameters / 1e9:.2f}B" if one.parameters >= 1e8 else f"{one.parameters / 1e6:.1f}M"
    cuts = (
        ("-", "-", "-", "-")
        if cut is None
        else (f"{cut.tokens_per_word:.2f}", f"{cut.tokens_per_character:.3f}", f"{cut.byte_share:.1%}", f"{cut.truncated_share:.1%}")
    )
    numbers = (None if one.memory_gib is None else one.memory_gib.value, None if one.duration_h is None else one.duration_h.value)
    amounts = tuple("-" if value is None else f"{value:.2g}" for value in numbers)
    said = "refused" if one.note.startswith("refused") else "not here" if one.fertility is None else one.fits
    return (one.name, one.licence, size, "-" if one.model is None else f"{one.model.context_length:,}", *cuts, *amounts, said)


def _facts_table(rows: Sequence[BaseCandidate]) -> str:
    text = ChartText("facts", "The bases as they stand", "")
    asks = [("none known" if one.terms is None else "; ".join(obligations_of(one.terms)) or "nothing") for one in rows]
    data = ["not declared" if one.declared_data is None else ", ".join(one.declared_data) for one in rows]
    lines = [(*fact_cells(one), ask, told) for one, ask, told in zip(rows, asks, data, strict=True)]
    return _table(text, (*FACT_HEADS, "what the licence asks", "declared training data"), lines)
