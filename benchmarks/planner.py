"""How good the memory estimate is on published runs: `python -m benchmarks.planner POINTS.csv [--write]`.

Prints the table of docs/planning.md: each source scored by constants fitted to the others, then as shipped. With `--write` fits the
shipped constants (src/provetune/planning/calibration.json) to all rows and renews the table in the page. Takes seconds.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from provetune.planning import calibration
from provetune.planning.points import read_points
from provetune.planning.validate import validate
from provetune.records.planning import Scores, Validation

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "planning.md"
FITTED = ROOT / "src" / "provetune" / "planning" / "calibration.json"
TABLE = re.compile(r"(?<=<!-- accuracy -->\n).*?(?=<!-- end of accuracy -->)", flags=re.DOTALL)


def table(found: Validation) -> str:
    """Both tables as Markdown, and what was left out."""
    lines: list[str] = []
    for title, scores in (("constants fitted to the other sources", found.leave_one_source_out), ("as shipped", found.as_shipped)):
        lines += ["", f"| {title} | rows | mean error | median | <= 15 % | <= 30 % | in interval | high / low | out of memory foreseen |"]
        lines += ["|---|--:|--:|--:|--:|--:|--:|--:|--:|", *map(_row, scores)]
    lines += [
        "",
        "| hours, estimated over measured | rows | 10 % | median | 90 % | between 0.5 and 2 | in interval |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {one.group} | {one.rows} | {one.low_ratio:.2f} | {one.median_ratio:.2f} | {one.high_ratio:.2f} | "
        f"{100 * one.within_factor_2:.0f} % | {100 * one.inside_interval:.0f} % |"
        for one in found.time
    ]
    lines += ["", "Left out of the memory's tables:", ""]
    lines += [f"- {len(one.ids)} rows: {one.reason.partition(';')[0]}" for one in found.left_out]
    return "\n".join([*lines, ""])


def _row(one: Scores) -> str:
    shares = (one.mean_absolute_error, one.median_absolute_error, one.within_15_percent, one.within_30_percent, one.inside_interval)
    cells = ["-" if share is None else f"{100 * share:.1f} %" for share in shares]
    ratio = "-" if one.median_high_over_low is None else f"{one.median_high_over_low:.2f}"
    refused = f"{one.out_of_memory_right} of {one.out_of_memory_rows}" if one.out_of_memory_rows else "-"
    return f"| {one.group} | {one.rows} | {' | '.join(cells)} | {ratio} | {refused} |"


def main(arguments: Sequence[str]) -> None:
    """Print the table; with `--write` fit and write first."""
    file = Path(next(one for one in arguments if not one.startswith("-")))
    if "--write" in arguments:
        FITTED.write_text(calibration.to_json(calibration.calibrate(read_points(file)[0])), encoding="utf-8")
        calibration.shipped.cache_clear()
    made = table(validate(file))
    print(made)
    if "--write" in arguments:
        PAGE.write_text(TABLE.sub(lambda _: made, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
