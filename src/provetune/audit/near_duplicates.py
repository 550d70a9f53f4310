"""Rows that are nearly the same."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, ids_of, rows_text
from provetune.records.data import Example, Finding

WARN_ABOVE = 0.2


def near_duplicates(inputs: AuditInput) -> list[Finding]:
    """Groups of rows with similar prompts (character 5-grams, J >= 0.8); a warning above 20 % of the rows."""
    members: dict[int, list[Example]] = {}
    for example, group in zip(inputs.examples, inputs.groups, strict=True):
        members.setdefault(group, []).append(example)
    found = sorted((rows for rows in members.values() if len(rows) > 1), key=len, reverse=True)
    if not found:
        return []
    count = sum(len(rows) for rows in found)
    share = count / len(inputs.examples)
    severity = "warning" if share > WARN_ABOVE else "info"
    return [
        Finding(
            check="near_duplicates",
            severity=severity,
            message=f"{rows_text(count)} of {len(inputs.examples):,} ({share:.1%}) stand in {len(found):,} groups "
            f"with nearly the same prompt; the largest group has {rows_text(len(found[0]))}. "
            f"So the data holds about {len(members):,} different prompts.",
            count=count,
            example_ids=ids_of(example for rows in found for example in rows),
            observed=share,
            threshold=WARN_ABOVE,
            remedy="Nothing to do for the split: a group never straddles it."
            if severity == "info"
            else "Collect more varied prompts: rows that repeat each other teach and prove less than their number says.",
        )
    ]
