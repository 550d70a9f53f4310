"""What the reader of a file left out because of the file's format: whole rows, and parts of rows that were kept."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, rows_text, share
from provetune.records.data import Finding
from provetune.records.provenance import Source

_SHOWN = 5


def left_out_on_reading(inputs: AuditInput) -> list[Finding]:
    """For each file one finding about rows and one about parts of rows, each reason with its count and its first place."""
    return [finding for source in inputs.sources for whole in (True, False) for finding in _told(source, whole)]


def _told(source: Source, whole: bool) -> list[Finding]:
    left = [one for one in source.left_out if one.whole is whole]
    if not left:
        return []
    reasons = "; ".join(f"{one.reason} ({one.rows:,}, first: {one.first})" for one in left[:_SHOWN])
    more = f"; and {len(left) - _SHOWN:,} more reasons" if len(left) > _SHOWN else ""
    # a row may lack several parts: the counts of parts do not add up to rows
    count = sum(one.rows for one in left) if whole else max(one.rows for one in left)
    what = (
        f"{rows_text(count)} of {source.rows:,} in {source.path} {'was' if count == 1 else 'were'} left out on reading"
        if whole
        else f"Parts of rows of {source.path} were left out on reading"
    )
    remedy = (
        "Nothing, if these are no examples; else finish or mend them where they come from, and export the file again."
        if whole
        else "Nothing, if the model need not see them; else export the file again with them in a column or turn that is read."
    )
    return [
        Finding(
            check="left_out_on_reading",
            severity="info",
            message=f"{what}: {reasons}{more}.",
            count=count,
            observed=share(count, source.rows),
            threshold=0.0,
            remedy=remedy,
        )
    ]
