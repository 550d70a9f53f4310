"""Training rows that stand in the given test file too."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, rows_text
from provetune.records.data import Finding
from provetune.similarity import NEARLY_EQUAL, find_leaks


def leaked_test_rows(inputs: AuditInput) -> list[Finding]:
    """Training rows whose prompt equals or nearly equals (J >= 0.9) one of the test file: left out, or a blocker if forbidden."""
    if not inputs.test_examples:
        return []
    leaks = find_leaks(inputs.examples, inputs.test_examples)
    if not leaks:
        return []
    worst = sorted(leaks, key=lambda row: -leaks[row][1])
    exact = sum(similarity == 1.0 for _, similarity in leaks.values())
    touched = len({test_id for test_id, _ in leaks.values()})
    forbidden = inputs.leaked_rows == "forbid"
    return [
        Finding(
            check="leaked_test_rows",
            severity="blocker" if forbidden else "info",
            message=f"{rows_text(len(leaks))} of {len(inputs.examples):,} stand in the test file too ({exact:,} equal, "
            f"{len(leaks) - exact:,} nearly equal), touching {touched:,} of its {rows_text(len(inputs.test_examples))}. "
            + ("The project file forbids this." if forbidden else "They are left out of training and validation."),
            count=len(leaks),
            example_ids=tuple(worst[:50]),
            observed=len(leaks) / len(inputs.examples),
            threshold=NEARLY_EQUAL,
            remedy="Remove these rows from the training file, or set data.leaked_rows to leave-out."
            if forbidden
            else "Nothing to do: the test file keeps all its rows, and the split lists each row left out.",
        )
    ]
