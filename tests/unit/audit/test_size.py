"""Whether a test split of this size could prove anything."""

from __future__ import annotations

from dataclasses import replace

from provetune.spec import FailOnSpec
from tests.unit.audit.rows import clean, example, found, inputs, only


def test_size() -> None:
    finding = only(found("size", inputs(clean()[:49])))
    assert (finding.severity, finding.count) == ("warning", 49)
    assert "24 rows to test on" in finding.message
    assert "cannot be proven" in finding.message
    with_test = inputs(clean()[:40], [example(900 + number, f"test {number}", "cards") for number in range(80)])
    assert "about 14 points" in only(found("size", with_test)).message  # Connor's formula for 80 pairs
    assert found("size", inputs(clean()[:50])) == []
    assert only(found("size", inputs([]))).severity == "blocker"
    assert only(found("size", replace(inputs(clean()), fail_on=FailOnSpec(min_examples=100)))).severity == "blocker"
