"""Rows with keys, tokens or passwords."""

from __future__ import annotations

from tests.unit.audit.rows import clean, example, found, inputs, only


def test_a_secret_blocks_and_is_not_repeated() -> None:
    token = "ghp_" + "a1B2" * 9
    rows = [*clean(), example(99, f"why is {token} refused", "fees"), example(100, "a question", "password: kX9vT2qLm8Zr4")]
    finding = only(found("secrets", inputs(rows)))
    assert (finding.severity, finding.count, finding.example_ids) == ("blocker", 2, ("r99", "r100"))
    assert "github token 1, password 1" in finding.message
    assert token not in finding.message
