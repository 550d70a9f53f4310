"""Rows that hold texts by which other abilities are tested."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.audit.rows import clean, example, found, inputs, only

ITEM = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did she sell?"
OTHER = "A robe takes two bolts of blue fibre and half that much white fibre. How many bolts in total does it take?"


def test_a_copied_item_is_found_however_it_is_dressed() -> None:
    rows = [
        *clean(),
        example(99, f"Solve this: {ITEM.upper()} Think step by step.", "72"),
        example(100, "Natalia sold clips to 48 of her friends", "yes"),
    ]
    finding = only(found("contamination", replace(inputs(rows), suites={"arithmetic": [ITEM, OTHER]})))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 1, ("r99",))
    assert "1 of its 2" in finding.message and "'arithmetic'" in finding.message


def test_half_of_the_words_suffice_and_fewer_do_not() -> None:
    words = ITEM.split()
    for kept, held in ((len(words) // 2 + 1, True), (len(words) // 2 - 1, False)):
        rows = [*clean(), example(99, " ".join(words[:kept]), "72")]
        assert bool(found("contamination", replace(inputs(rows), suites={"arithmetic": [ITEM]}))) is held


def test_short_items_and_no_suites_say_nothing() -> None:
    rows = [*clean(), example(99, ITEM, "72")]
    assert found("contamination", inputs(rows)) == []
    assert found("contamination", replace(inputs(rows), suites={"short": ["sold clips to", ""]})) == []
