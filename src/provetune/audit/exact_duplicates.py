"""Rows that say the same twice."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, ids_of, prompt_key, rows_text
from provetune.records.data import Example, Finding


def exact_duplicates(inputs: AuditInput) -> list[Finding]:
    """Rows whose prompt (in normal form) and target repeat an earlier row; a warning, since each counts double."""
    copies: dict[tuple[str, str], list[Example]] = {}
    for example in inputs.examples:
        copies.setdefault((prompt_key(example), example.target.strip()), []).append(example)
    repeated = sorted((rows for rows in copies.values() if len(rows) > 1), key=len, reverse=True)
    if not repeated:
        return []
    count = sum(len(rows) - 1 for rows in repeated)
    return [
        Finding(
            check="exact_duplicates",
            severity="warning",
            message=f"{rows_text(count)} of {len(inputs.examples):,} repeat another row: the prompt differs at most in case, "
            f"punctuation or spaces, and the target is the same. The most repeated one appears {len(repeated[0])} times.",
            count=count,
            example_ids=ids_of(example for rows in repeated for example in rows[1:]),
            observed=count / len(inputs.examples),
            threshold=0.0,
            remedy="Remove the copies, unless the repetition is meant. The split keeps them together, and the proof counts them as one.",
        )
    ]
