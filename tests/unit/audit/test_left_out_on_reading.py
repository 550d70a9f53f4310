"""What a reader leaves out, as findings."""

from __future__ import annotations

from dataclasses import replace

from provetune.audit.left_out_on_reading import left_out_on_reading
from provetune.records.provenance import LeftOut, Source
from provetune.stats.proportion import wilson
from tests.unit.audit.rows import clean, inputs


def source(*left_out: LeftOut) -> Source:
    return Source(role="examples", path="tasks.json", format="label-studio", files=1, bytes=9, sha256="ab", rows=100, left_out=left_out)


def test_rows_and_parts_of_rows_are_told_apart() -> None:
    left = (
        LeftOut(reason="no answer by an annotator", rows=3, first="tasks.json:4", whole=True),
        LeftOut(reason="annotators disagree and none has the majority", rows=2, first="tasks.json:9", whole=True),
        LeftOut(reason="an annotation that was cancelled", rows=7, first="tasks.json:2", whole=False),
        LeftOut(reason="key 'x'", rows=4, first="tasks.json:2", whole=False),
    )
    rows, parts = left_out_on_reading(replace(inputs(clean()), sources=(source(*left),)))
    assert (rows.severity, rows.count, rows.observed) == ("info", 5, wilson(5, 100))
    assert (
        "5 rows of 100 in tasks.json were left out" in rows.message and "no answer by an annotator (3, first: tasks.json:4)" in rows.message
    )
    assert (parts.severity, parts.count, parts.observed) == ("info", 7, wilson(7, 100))
    assert "an annotation that was cancelled (7, first: tasks.json:2)" in parts.message and "no answer" not in parts.message


def test_nothing_left_out_is_no_finding() -> None:
    assert left_out_on_reading(replace(inputs(clean()), sources=(source(),))) == []
    assert left_out_on_reading(inputs(clean())) == []


def test_reasons_beyond_five_are_counted() -> None:
    left = tuple(LeftOut(reason=f"key {n}", rows=1, first=f"tasks.json:{n}", whole=False) for n in range(8))
    (found,) = left_out_on_reading(replace(inputs(clean()), sources=(source(*left),)))
    assert "and 3 more reasons" in found.message and "key 5" not in found.message
