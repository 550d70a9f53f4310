"""Rows that are nearly the same."""

from __future__ import annotations

import numpy as np

from provetune.audit.inputs import AuditInput, ids_of, rows_alike, rows_text, share
from provetune.audit.keys import repeated
from provetune.records.data import Finding

WARN_ABOVE = 0.2


def near_duplicates(inputs: AuditInput) -> list[Finding]:
    """Groups of rows with similar prompts (character 5-grams, J >= 0.8, or typing errors); a warning above 20 % of the rows."""
    numbers = np.asarray(inputs.groups, dtype=np.uint64)
    found = repeated(numbers)
    if not found:
        return []
    count, total = sum(map(len, found)), len(inputs.examples)
    severity = "warning" if count / total > WARN_ABOVE else "info"
    typos = len(rows_alike(inputs).typos)
    slips = f" {typos:,} pairs differ by a typing error or two only." if typos else ""
    return [
        Finding(
            check="near_duplicates",
            severity=severity,
            message=f"{rows_text(count)} of {total:,} ({count / total:.1%}) stand in {len(found):,} groups "
            f"with nearly the same prompt; the largest group has {rows_text(len(found[0]))}. "
            f"So the data holds about {len(np.unique(numbers)):,} different prompts.{slips}",
            count=count,
            example_ids=ids_of(inputs.examples[row] for rows in found for row in rows),
            observed=share(count, total),
            threshold=WARN_ABOVE,
            remedy="Nothing to do for the split: a group never straddles it."
            if severity == "info"
            else "Collect more varied prompts: rows that repeat each other teach and prove less than their number says.",
        )
    ]
