"""Training rows that stand in the given test file too."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, rows_text, share
from provetune.records.data import Finding
from provetune.similarity import NEARLY_EQUAL, find_leaks

FEWEST_LEFT = 10
"""Training rows that must remain; fewer are refused when a file is read, too."""


def leaked_test_rows(inputs: AuditInput) -> list[Finding]:
    """Training rows whose prompt equals or nearly equals (J >= 0.9) one of the test file: left out, or a blocker if forbidden.

    A blocker, too, where so few rows remain that nothing can be trained, as when one file is given for both.
    """
    if not inputs.test_examples:
        return []
    leaks = find_leaks(inputs.examples, inputs.test_examples)
    if not leaks:
        return []
    worst = sorted(leaks, key=lambda row: -leaks[row][1])
    exact = sum(similarity == 1.0 for _, similarity in leaks.values())
    touched = len({test_id for test_id, _ in leaks.values()})
    left = len(inputs.examples) - len(leaks)
    blocked = inputs.leaked_rows == "forbid" or left < FEWEST_LEFT
    told, remedy = _judged(inputs, left)
    return [
        Finding(
            check="leaked_test_rows",
            severity="blocker" if blocked else "info",
            message=f"{rows_text(len(leaks))} of {len(inputs.examples):,} stand in the test file too ({exact:,} equal, "
            f"{len(leaks) - exact:,} nearly equal), touching {touched:,} of its {rows_text(len(inputs.test_examples))}. {told}",
            count=len(leaks),
            example_ids=tuple(worst[:50]),
            observed=share(len(leaks), len(inputs.examples)),
            threshold=NEARLY_EQUAL,
            remedy=remedy,
        )
    ]


def _judged(inputs: AuditInput, left: int) -> tuple[str, str]:
    """What becomes of the rows, and what to do."""
    if left < FEWEST_LEFT:
        told = f"Without them {rows_text(left)} to learn from would remain: both files hold the same rows."
        return told, "Name another file as data.test, or remove data.test and let provetune split the rows."
    if inputs.leaked_rows == "forbid":
        return "The project file forbids this.", "Remove these rows from the training file, or set data.leaked_rows to leave-out."
    told = "They are left out of training and validation."
    return told, "Nothing to do: the test file keeps all its rows, and the split lists each row left out."
