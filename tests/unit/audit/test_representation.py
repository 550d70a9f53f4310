"""Who is named, how often, and whether one gender or age hardly appears."""

from __future__ import annotations

from provetune.records.data import Example
from tests.unit.audit.rows import clean, example, found, inputs, only


def naming(words: list[str]) -> list[Example]:
    """Rows that differ, the first ones naming these words."""
    return [example(200 + n, f"{word} {row.prompt_text}", "cards") for n, (word, row) in enumerate(zip(words, clean(), strict=False))]


def test_counts_of_different_rows_and_a_rare_gender() -> None:
    rows = naming(["his"] * 60 + ["her"] * 2)
    copies = [example(400 + n, rows[0].prompt_text + "!" * (n + 1), "cards") for n in range(9)]
    finding = only(found("representation", inputs([*rows, *copies])))
    assert finding.severity == "warning"
    assert "men in 60 rows, women in 2 rows" in finding.message
    assert "By gender, women are named less than a fifth as often" in finding.message
    assert finding.example_ids[:2] == ("r260", "r261")
    assert finding.count == 62


def test_even_counts_are_a_word_and_few_are_none() -> None:
    assert only(found("representation", inputs(naming(["his", "her"] * 30)))).severity == "info"
    assert found("representation", inputs(naming(["his", "her"] * 15))) == []


def test_a_rare_religion_is_counted_and_not_judged() -> None:
    finding = only(found("representation", inputs(naming(["hindu"] * 40 + ["sikh"] * 2))))
    assert finding.severity == "info"
    assert "by religion: Hindus in 40 rows, Sikhs in 2 rows" in finding.message
