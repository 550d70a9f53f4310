"""Are there enough rows to prove anything."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, rows_text
from provetune.records.data import Finding
from provetune.stats.power import EXPECTED_DISCORDANCE, smallest_provable_gain

SMALL = 50


def size(inputs: AuditInput) -> list[Finding]:
    """A warning below 50 rows, with what they could prove; a blocker without rows or below `fail_on.min_examples`."""
    count = len(inputs.examples)
    wanted = inputs.fail_on.min_examples or 1
    if count >= max(SMALL, wanted):
        return []
    # an automatic split of so few rows gives half of them to the test
    tested = len(inputs.test_examples) if inputs.test_examples else count // 2
    limit = f", fewer than the {wanted:,} the project file asks for" if 1 < wanted > count else ""
    return [
        Finding(
            check="size",
            severity="blocker" if count < wanted else "warning",
            message=f"There {'is' if count == 1 else 'are'} only {rows_text(count)}{limit}. {_provable(tested)}",
            count=count,
            observed=float(count),
            threshold=float(wanted if count < wanted else SMALL),
            remedy="Collect more rows: 50 to 100 often show whether tuning helps, "
            "and about 600 test rows prove a gain of 5 points beyond the margin.",
        )
    ]


def _provable(tested: int) -> str:
    gain = smallest_provable_gain(tested, EXPECTED_DISCORDANCE)
    start = f"With {rows_text(tested)} to test on"
    if gain is None:
        return f"{start}, even a large gain over prompting cannot be proven; expect the verdict 'inconclusive'."
    return f"{start}, only a gain over prompting of about {100 * gain:.0f} points or more can be proven."
