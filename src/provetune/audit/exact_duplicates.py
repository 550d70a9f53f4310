"""Rows that say the same twice."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, ids_of, rows_text, share
from provetune.audit.keys import repeated, row_keys
from provetune.records.data import Finding
from provetune.similarity.normal_form import mixed


def exact_duplicates(inputs: AuditInput) -> list[Finding]:
    """Rows whose prompt (in normal form) and target repeat an earlier row; a warning, since each counts double."""
    keys = row_keys(inputs)
    copies = repeated(mixed(keys.prompt) ^ keys.target)
    if not copies:
        return []
    count = sum(len(rows) - 1 for rows in copies)
    return [
        Finding(
            check="exact_duplicates",
            severity="warning",
            message=f"{rows_text(count)} of {len(inputs.examples):,} repeat another row: the prompt differs at most in case, "
            f"punctuation or spaces, and the target is the same. The most repeated one appears {len(copies[0])} times.",
            count=count,
            example_ids=ids_of(inputs.examples[row] for rows in copies for row in rows[1:]),
            observed=share(count, len(inputs.examples)),
            threshold=0.0,
            remedy="Remove the copies, unless the repetition is meant. The split keeps them together, and the proof counts them as one.",
        )
    ]
