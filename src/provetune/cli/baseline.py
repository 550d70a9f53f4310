"""What `baseline` says to people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provetune.cli.session import Line, aligned, shown_path
from provetune.records.baseline import BaselineReport, StrategyResult
from provetune.report.words import estimate_text

_WORTH_STYLES = {"yes": "bold green", "no": "bold red", "unclear": "bold yellow"}


def baseline_lines(report: BaselineReport, run: str) -> list[Line]:
    """The table, best first, the sentence, and what to do next; `run` is the command of the whole flow."""
    head = ("on validation", report.metric, "n", "parsed", "tried", "tokens in + out", "s per 1,000", "$ per 1,000")
    lines: list[Line] = [(row, "") for row in aligned([head, *map(_cells, report.results)])]
    missing = [
        f"{r.name}: {r.not_measured:,} of {report.validation_rows:,} rows were not measured" for r in report.results if r.not_measured
    ]
    next_step = {
        "yes": f"Next: {run} tunes, and proves it against the best prompt on the test rows.",
        "no": "Next: use the best prompt, or collect more test rows and look again.",
        "unclear": f"Next: {run} tries it and gives the verdict on the test rows.",
    }[report.worth_trying]
    return [
        *lines,
        *((line, "yellow") for line in missing),
        ("", ""),
        (report.sentence, _WORTH_STYLES[report.worth_trying]),
        (next_step, ""),
    ]


def _cells(result: StrategyResult) -> tuple[str, ...]:
    usable = "not measured" if result.usable.value is None else f"{100 * result.usable.value:.1f} %"
    tokens = "-" if result.prompt_tokens is None else f"{result.prompt_tokens:,.0f} + {result.completion_tokens or 0:,.0f}"
    seconds = "-" if result.seconds_per_1000 is None else f"{result.seconds_per_1000:.1f}"
    dollars = "unknown" if result.usd_per_1000 is None else f"{result.usd_per_1000:.2f}"
    value = estimate_text(result.value)
    return result.name, value, f"{result.value.n:,}", usable, str(result.variants), tokens, seconds, dollars


def templates_lines(written: Sequence[Path], baseline: str) -> list[Line]:
    """Which texts were copied, and what to do with them."""
    lines: list[Line] = [(f"Wrote {shown_path(file)}", "") for file in written]
    said = f"{len(written)} texts were copied; an edited one takes the place of ours." if written else "All texts are there already."
    return [*lines, (said, "bold"), (f"Next: edit what you want otherwise, delete the rest, then {baseline}.", "")]
