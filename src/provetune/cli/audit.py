"""Claims and safe remedies as lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.cli.session import Line
from provetune.records.data import Claim
from provetune.records.fixes import FixPlan
from provetune.report.claims import CLAIM_WORDS, WORST_WORDS, worst
from provetune.report.words import OUTCOME_WORDS, estimate_text

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
_FIRST_IDS = 5


def claims_lines(claims: Sequence[Claim]) -> list[Line]:
    """The five claims: outcome, figure, reason, rows to look at; then the worst outcome. Nothing without claims."""
    if not claims:
        return []
    lines: list[Line] = []
    for claim in claims:
        lines.append((f"{CLAIM_WORDS[claim.name]} {OUTCOME_WORDS[claim.outcome]}", _STYLES[claim.outcome]))
        if claim.value is not None:
            limit = "" if claim.limit is None else f", limit {claim.limit:g}"
            lines.append((f"  {claim.what}: {estimate_text(claim.value)}{limit}", ""))
        lines.append((f"  {claim.reason}", ""))
        if claim.evidence_ids:
            lines.append((f"  rows to look at: {', '.join(claim.evidence_ids)}", ""))
    return [*lines, (WORST_WORDS[worst(tuple(claims))], "bold")]


def fix_lines(plan: FixPlan, commands: tuple[str, str]) -> list[Line]:
    """What is or would be mended; `commands` are those that write the file and that audit again."""
    if not plan.fixes:
        return [(f"Nothing to mend without judgement in {plan.rows_before:,} rows; no file was written.", "bold")]
    lines: list[Line] = []
    for fix in plan.fixes:
        lines.append((f"{fix.name}: {fix.count:,} row{'' if fix.count == 1 else 's'}, {fix.what}", ""))
        more = " and more" if fix.count > _FIRST_IDS else ""
        lines.append((f"  rows: {', '.join(fix.example_ids[:_FIRST_IDS])}{more}", ""))
    lines.append((f"{plan.rows_after:,} of {plan.rows_before:,} rows remain.", "bold"))
    write, again = commands
    if plan.written is None:
        return [*lines, (f"Nothing was written. Next: {write} writes a new file and leaves yours as it is.", "")]
    lines.append((f"Wrote {plan.written.path}; your file is as it was. To use it, set in provetune.yaml:", ""))
    return [*lines, *((f"  {line}", "bold") for line in plan.spec_lines), (f"Next: {again} reviews the new file.", "")]
