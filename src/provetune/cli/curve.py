"""The learning curve as lines for people."""

from __future__ import annotations

from provetune.cli.session import Line
from provetune.records.curve import CurvePoint, LearningCurve
from provetune.report.words import duration_text, estimate_text
from provetune.workflow.curve import needed_text

_STYLES = {"pass": "bold green", "fail": "bold yellow", "inconclusive": "bold yellow"}
PROXY = "Measured with the linear classifier as a quick stand-in, not by training the base model."


def curve_lines(curve: LearningCurve) -> list[Line]:
    """The measured sizes (side by side with wrong targets where these were planted), the forecast, the verdict."""
    arms = [(f"{curve.metric}, {curve.candidate}", curve.points)]
    arms += [(f"{100 * arm.share:.0f} % wrong targets", arm.points) for arm in curve.noisy]
    rows = [[f"{p.rows:,} rows", *(_measured(points[place]) for _, points in arms)] for place, p in enumerate(curve.points)]
    table = [["learning curve", *(name for name, _ in arms)], *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines: list[Line] = [("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), "") for row in table]
    lines.append((f"on {curve.validation_rows:,} validation rows, in {duration_text(curve.seconds)}; intervals 95 %", ""))
    if curve.prompt is not None:
        lines.append((f"best prompt, no training row: {estimate_text(curve.prompt)}", ""))
    for forecast in curve.forecasts:
        flag = "; a guess, more than four times the rows tried" if forecast.red_flag else ""
        lines.append((f"forecast for {forecast.rows:,} rows: {estimate_text(forecast.value)} (80 %{flag})", ""))
    if curve.next_hundred is not None:
        lines.append((f"the next 100 examples: {estimate_text(curve.next_hundred.gain, signed=True)} {curve.metric} (80 %)", ""))
    lines += [(needed_text(needed), "") for needed in curve.needed]
    lines += [(arm.sentence, "bold") for arm in curve.noisy]
    if curve.proxy:
        lines.append((PROXY, "yellow"))
    return [*lines, (curve.sentence, _STYLES[curve.outcome])]


def _measured(point: CurvePoint) -> str:
    return estimate_text(point.value) + (f" ({point.draws} draws)" if point.draws > 1 else "")
