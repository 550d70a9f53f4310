"""Rows that nearly say the same."""

from __future__ import annotations

import pytest

from provetune.audit.inputs import share
from tests.unit.audit.rows import clean, example, found, inputs, only


@pytest.mark.parametrize(("copies", "severity"), [(3, "info"), (25, "warning")])
def test_near_duplicates(copies: int, severity: str) -> None:
    rows = clean() + [
        example(100 + number, f"please tell me where my new credit card is now {number:02}", "cards") for number in range(copies)
    ]
    finding = only(found("near_duplicates", inputs(rows)))
    assert (finding.severity, finding.count) == (severity, copies)
    assert finding.observed == share(copies, len(rows))
    assert "81 different prompts" in finding.message
