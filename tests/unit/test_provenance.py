"""Counts of rows that must add up from one change to the next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from provetune.records.provenance import Change, LeftOut, Provenance, Source, TrainingRows

COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3)


def provenance(changes: tuple[Change, ...], *trainings: TrainingRows) -> Provenance:
    return Provenance(project="p", dataset="d", sources=(), changes=changes, trainings=trainings)


@given(rows=st.integers(30, 99), added=COUNTS, removed=COUNTS, moved=COUNTS, wrong=st.integers(-3, 3))
def test_rows_in_are_rows_out_and_counted_losses(
    rows: int, added: dict[str, int], removed: dict[str, int], moved: dict[str, int], wrong: int
) -> None:
    out = rows + sum(added.values()) - sum(removed.values()) - sum(moved.values()) + wrong
    given_counts = {"added": added, "removed": removed, "moved": moved}
    if wrong:
        with pytest.raises(ValidationError, match="rows come in"):
            Change(step="split", rows_in=rows, rows_out=out, **given_counts)
    else:
        assert Change(step="split", rows_in=rows, rows_out=out, **given_counts).rows_out == out


def test_a_change_begins_with_what_the_one_before_left() -> None:
    read = Change(step="read a", rows_in=10, rows_out=9, removed={"no answer": 1})
    cut = Change(step="split", rows_in=9, rows_out=5, moved={"test": 4})
    lost = Change(step="to tokens", rows_in=4, rows_out=4)
    assert provenance((read, cut)).changes[-1].rows_out == 5
    with pytest.raises(ValidationError, match="begins with 10 rows, but split left 5"):
        provenance((cut, read))
    with pytest.raises(ValidationError, match="to tokens: begins with 4 rows, but split left 5"):
        provenance((read, cut), TrainingRows(name="lora", changes=(lost,), tokens=1, supervised_tokens=1))


def test_what_was_taken_of_a_source_is_its_rows_but_those_left_out_whole() -> None:
    left = (LeftOut(reason="cancelled", rows=2, first="a:1", whole=True), LeftOut(reason="key 'x'", rows=7, first="a:2", whole=False))
    source = Source(role="examples", path="a", format="chat", files=1, bytes=5, sha256="ab", rows=12, left_out=left)
    assert source.examples == 10


def test_it_is_read_back_equal() -> None:
    change = Change(step="read a", rows_in=10, rows_out=9, removed={"no answer": 1}, altered={"trimmed": 3})
    whole = provenance((change,))
    assert Provenance.from_json(whole.to_json()) == whole
