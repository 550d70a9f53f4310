"""Requests written otherwise: what changes, what stays, and the same again for the same row."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from provetune.errors import SpecError
from provetune.suites.robustness import CHANGES, changed, read_requests, typos

TEXT = "Dear team, my parcel 4711 from Tuesday never arrived although the courier said so on 12 May."


def test_typos_touch_a_fifth_of_the_longer_words_and_no_number() -> None:
    for seed in range(50):
        made = typos(TEXT, random.Random(seed)).split()
        differing = [(a, b) for a, b in zip(TEXT.split(), made, strict=True) if a != b]
        assert 1 <= len(differing) <= 2  # ten words of four letters or more; two equal letters may change places
        assert all(a[0] == b[0] and a.isalpha() == b.isalpha() and abs(len(a) - len(b)) <= 1 for a, b in differing)
        assert {"4711", "12"} <= set(made)


def test_a_text_without_long_words_keeps_its_letters() -> None:
    assert typos("it is so 12", random.Random(1)) == "it is so 12"


def test_case_changes_every_text_with_letters() -> None:
    assert changed("abc", "case", "r1") == "ABC" and changed("aBC", "case", "r1") == "abc" and changed("12", "case", "r1") == "12"


def test_longer_keeps_the_text_whole() -> None:
    made = changed(TEXT, "longer", "r1")
    assert TEXT in made and not made.startswith(TEXT) and not made.endswith(TEXT)


@pytest.mark.parametrize("change", CHANGES)
def test_a_row_changes_the_same_way_each_time(change: str) -> None:
    assert changed(TEXT, change, "r1") == changed(TEXT, change, "r1")
    assert len({changed(TEXT, change, f"r{k}") for k in range(40)}) > 1 or change == "case"


def test_requests_are_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" one \n\ntwo\u2028still two\n", encoding="utf-8")
    assert read_requests(tmp_path / "a.txt") == ["one", "two\u2028still two"]
    (tmp_path / "b.txt").write_text("\n")
    for name in ("b.txt", "absent.txt"):
        with pytest.raises(SpecError, match="one request a line|a request a line"):
            read_requests(tmp_path / name)
