"""Training rows that stand in the given test file."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.audit.rows import clean, example, found, inputs, only


def test_leaked_test_rows() -> None:
    text = "I would like to know why the payment I made to my landlord yesterday has not arrived in her account"
    rows = [*clean(), example(99, text, "fees")]
    given = inputs(
        rows, [example(1, rows[4].prompt_text + "!", "cards"), example(2, text + "s", "fees"), example(3, "no twin here", "fees")]
    )
    finding = only(found("leaked_test_rows", given))
    assert (finding.severity, finding.count, finding.example_ids) == ("info", 2, ("r4", "r99"))
    assert "1 equal, 1 nearly equal" in finding.message
    assert "left out" in finding.message
    assert only(found("leaked_test_rows", replace(given, leaked_rows="forbid"))).severity == "blocker"


def test_one_file_for_training_and_test_blocks() -> None:
    rows = clean()
    copies = [row.model_copy(update={"id": f"test:{row.id}"}) for row in rows]
    finding = only(found("leaked_test_rows", inputs(rows, copies)))
    assert (finding.severity, finding.count) == ("blocker", 80)
    assert "0 rows to learn from would remain" in finding.message
    assert "data.test" in finding.remedy
    # test rows cut out of the training file are no such mistake
    assert only(found("leaked_test_rows", inputs(rows, copies[:60]))).severity == "info"
