"""Equal or nearly equal prompts with different labels."""

from __future__ import annotations

import pytest

from provetune.audit.inputs import share
from tests.unit.audit.rows import TOPICS, clean, example, found, inputs, only


@pytest.mark.parametrize("twin", ["Vault opens violin?", "vault opens  VIOLIN"])
def test_conflicting_labels_of_equal_prompts(twin: str) -> None:
    rows = [*clean(), example(99, "vault opens violin", "fees"), example(100, twin, "cash")]
    finding = only(found("conflicting_labels", inputs(rows)))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 1, ("r99", "r100"))
    assert finding.observed == share(1, 81)
    assert "cash, fees" in finding.message


def test_conflicting_labels_of_nearly_equal_prompts() -> None:
    text = "I would like to know why the payment I made to my landlord yesterday has not arrived in her account"
    rows = [*clean(), example(99, text, "fees"), example(100, text + "s", "cash")]
    assert only(found("conflicting_labels", inputs(rows))).example_ids == ("r99", "r100")


def test_many_conflicts_block() -> None:
    rows = clean()
    rows += [example(200 + number, row.prompt_text, TOPICS[(number + 1) % 4]) for number, row in enumerate(rows[:5])]
    finding = only(found("conflicting_labels", inputs(rows)))
    assert (finding.severity, finding.count) == ("blocker", 5)
    assert only(found("conflicting_labels", inputs(rows[:84]))).severity == "warning"  # 4 of 80 is not above 5 %
