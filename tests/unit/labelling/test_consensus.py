"""Majority, else a third person; one label per row with its votes, read back by the step that loads data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provetune.labelling.consensus import consensus, export, labelled, undecided
from provetune.load import load
from provetune.records.labels import Vote
from provetune.spec import DataSpec, TaskSpec
from tests.unit.labelling.desk import held, row, rows, vote

A = row("a")


@pytest.mark.parametrize(
    ("votes", "label", "by"),
    [
        ([vote(A, "anna", "x")], "x", "one vote"),
        ([vote(A, "anna", "x"), vote(A, "ben", "x")], "x", "majority"),
        ([vote(A, "anna", "x"), vote(A, "ben", "y")], None, "nobody"),
        ([vote(A, "anna", "x"), vote(A, "ben", "y"), vote(A, "cleo", "y")], "y", "majority"),
        ([vote(A, "anna", "x"), vote(A, "ben", "y"), vote(A, "cleo", "z", decides=True)], "z", "adjudication"),
        # most, but not more than half
        ([vote(A, "anna", "x"), vote(A, "ben", "x"), vote(A, "cleo", "y"), vote(A, "dan", "z")], None, "nobody"),
        ([vote(A, "anna", "x", decides=True), vote(A, "ben", "y", decides=True)], "y", "adjudication"),
    ],
)
def test_who_decides(votes: list[Vote], label: str | None, by: str) -> None:
    found = consensus(votes)
    assert (found.label, found.by) == (label, by)


def test_a_split_row_has_no_label_even_if_the_file_gave_one() -> None:
    data = {"a": row("a", label="x"), "b": row("b", label="x"), "c": row("c")}
    said = held([vote(data["a"], "anna", "x"), vote(data["a"], "ben", "y"), vote(data["c"], "anna", None)])
    assert undecided(said) == ["a"] and labelled(data, said) == {"b": "x"}


def test_the_exported_file_loads_and_keeps_every_vote(tmp_path: Path) -> None:
    data = {**rows(12, label="old"), "tie": row("tie"), "blank": row("blank")}
    said = [vote(one, "anna", "new" if name == "r1" else "old", comment="sure") for name, one in data.items() if name.startswith("r")]
    said += [vote(data["r1"], "ben", "new"), vote(data["tie"], "anna", "old"), vote(data["tie"], "ben", "new")]
    path = tmp_path / "out" / "labelled.jsonl"
    done = export(data, held(said), {"r1": "review"}, {"r0", "r5"}, path)
    assert (done.train, done.test, done.changed, done.undecided, done.unlabelled, done.notes) == (10, 2, 1, 1, 1, ())
    examples = load(path, DataSpec(path=str(path)), TaskSpec(type="classify"))
    assert [example.id for example in examples] == ["r1", "r2", "r3", "r4", "r6", "r7", "r8", "r9", "r10", "r11"]
    assert {example.id: example.label for example in examples}["r1"] == "new"
    written = json.loads(path.read_text().splitlines()[0])
    assert (written["decided_by"], written["chosen_by"]) == ("majority", "review")
    assert [(one["annotator"], one["label"], one.get("comment")) for one in written["votes"]] == [
        ("anna", "new", "sure"),
        ("ben", "new", None),
    ]
    test = (tmp_path / "out" / "labelled.test.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in test] == ["r0", "r5"]
