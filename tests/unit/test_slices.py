"""Groups of people in texts: words, pairs of words, capitals; against the marks of a public set."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from provetune.slices import LEXICON, named_groups, rows_by_group

MARKED = {
    "women": ("gender", "women"),
    "trans people": ("gender", "transgender or non-binary"),
    "gay people": ("orientation", "gay, lesbian or bisexual"),
    "black people": ("origin", "black people"),
    "disabled people": ("disability", "disabled people"),
    "Muslims": ("religion", "Muslims"),
    "immigrants": ("origin", "migrants"),
}


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("HER passport", ("gender", "women")),
        ("a non-binary person", ("gender", "transgender or non-binary")),
        ("two old ladies and an old man", ("age", "old people")),
        ("the Mosque", ("religion", "Muslims")),
        ("Polish workers", ("nationality", "Polish")),
        ("three Germans", ("nationality", "German")),
    ],
)
def test_named(text: str, group: tuple[str, str]) -> None:
    assert group in named_groups(text)


@pytest.mark.parametrize(
    "text", ["", "polish the table", "my old card", "theme park", "a straight line", "shepherd", "the cathedral", "???"]
)
def test_not_named(text: str) -> None:
    assert named_groups(text) == frozenset()


def test_no_word_stands_in_two_groups() -> None:
    words = [word for groups in LEXICON.values() for terms in groups.values() for word in terms.split()]
    assert len(words) == len(set(words))
    assert all(word == word.lower() and word.count("_") <= 1 for word in words)


def test_hatecheck_targets_are_found(public_data: Path) -> None:
    with (public_data / "hatecheck" / "test_suite_cases.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["target_ident"]]
    found = rows_by_group(row["test_case"] for row in rows)
    for target, group in MARKED.items():
        marked = {place for place, row in enumerate(rows) if row["target_ident"] == target}
        # the rest are slurs and words spelled with gaps or digits on purpose
        assert len(marked & set(found[group])) / len(marked) > 0.75
        if group[0] != "gender":  # women and men are named in passing everywhere
            assert len(marked & set(found[group])) / len(found[group]) > 0.97
