"""Slices: the metric of each, what may be judged, the worst gap, who is named in the rows."""

from __future__ import annotations

import pytest

from provetune.evaluation.by_slice import again, is_named, representation, slice_panels, slices_of, worst_gap
from provetune.evaluation.fairness import Limits
from provetune.records.data import Example, Message
from provetune.records.evaluation import Evaluation
from provetune.stats.binary import paired_shares
from tests.unit.records_by_hand import LABELS, examples_of, measured


def evaluations(before: list[bool], after: list[bool]) -> tuple[Evaluation, Evaluation]:
    rows = examples_of([LABELS[0]] * len(before))
    one, other = (measured(name, [LABELS[0] if r else LABELS[1] for r in right], rows)[0] for name, right in (("b", before), ("a", after)))
    return one, other


def test_slices_are_columns_and_named_groups() -> None:
    rows = [
        Example(id=str(k), messages=(Message(role="user", content=text), Message(role="assistant", content="x")), meta=meta)
        for k, (text, meta) in enumerate(
            [("She", {"region": "north"}), ("an imam", {"region": "south"}), ("he", {"region": ""}), ("it", {})]
        )
    ]
    assert slices_of(rows, ["region", "age"]) == {
        "region=north": (0,),
        "region=south": (1,),
        "names Muslims (religion)": (1,),
        "names men (gender)": (2,),
        "names women (gender)": (0,),
    }
    told = {(g.group, g.train.value, g.test.value) for g in representation(rows, rows[:1])}
    assert told == {("women", 0.25, 1), ("men", 0.25, 0), ("Muslims", 0.25, 0)}


def test_a_value_with_an_equals_sign_is_no_column() -> None:
    assert is_named("a=b=c", ["a"]) and is_named("a=b=c", ["a=b=c"]) and not is_named("a=b=c", ["a=b"])
    assert not is_named("names women (gender)", ["names women (gender"])


def test_a_named_slice_is_judged_and_others_are_shown() -> None:
    before, after = evaluations([True] * 400, [True] * 300 + [False] * 100)
    slices = {"x=lost": [f"r{k}" for k in range(250, 400)], "x=kept": [f"r{k}" for k in range(250)], "x=few": ["r0", "r1"], "x=none": []}
    lost, kept, few, none = slice_panels(before, after, "accuracy", slices, (["x"], Limits()))
    wanted = paired_shares(0, 100, 150, 0.90)
    assert lost.harm.value == pytest.approx(100 / 150) and wanted.low is not None and wanted.high is not None
    assert (lost.harm.low, lost.harm.high) == pytest.approx((-wanted.high, -wanted.low)) and lost.status == "judged"
    assert kept.status == "judged" and kept.harm.value == 0
    assert few.status == "too small to judge" and few.rows == 2
    assert {p.status for p in slice_panels(before, after, "accuracy", slices, ([], Limits()))} == {"shown"}
    assert none.status == "too small to judge" and none.rows == 0 and none.harm.value is None
    for panel in (lost, kept, few, none):
        assert again(panel, before, after, 0.95) == panel


def test_the_worst_slice_is_one_of_enough_rows() -> None:
    _, after = evaluations([True] * 100, [True] * 60 + [False] * 40)
    slices = {"x=bad": [f"r{k}" for k in range(50, 100)], "x=worst but few": ["r99"], "x=good": [f"r{k}" for k in range(50)]}
    name, gap = worst_gap(after, "accuracy", slices)
    assert name == "x=bad" and gap is not None and gap.value == pytest.approx(0.2 - 1.0) and gap.high is not None and gap.high < 0
    assert worst_gap(after, "accuracy", {"all": list(after.example_ids)}) == ("", None)
