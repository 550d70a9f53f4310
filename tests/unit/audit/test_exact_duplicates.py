"""Copies of a row: same words, whatever case or punctuation."""

from __future__ import annotations

from tests.unit.audit.rows import clean, example, found, inputs, only


def test_exact_duplicates() -> None:
    rows = clean()
    rows += [example(100, rows[3].prompt_text.upper() + "!", rows[3].target), example(101, rows[3].prompt_text, rows[3].target)]
    rows += [example(102, rows[5].prompt_text, rows[6].target)]  # another target: a conflict, not a copy
    finding = only(found("exact_duplicates", inputs(rows)))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 2, ("r100", "r101"))
    assert "2 rows of 83" in finding.message
    assert "3 times" in finding.message


def test_the_same_words_under_another_system_line_are_no_copy() -> None:
    rows = [*clean(), example(100, "is it good", "cards", "Name the topic"), example(101, "is it good", "loans", "Name the mood")]
    assert found("exact_duplicates", inputs(rows)) == []
    assert found("conflicting_labels", inputs(rows)) == []
