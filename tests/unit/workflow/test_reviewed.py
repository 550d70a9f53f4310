"""Votes of a labelling round as what the audit's claim "accurate" rests on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provetune.audit.claims import MOST_WRONG
from provetune.records.labels import LabelQueue
from provetune.workflow.label import LabelWish, open_labelling
from provetune.workflow.label_round import RoundWish, open_round
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.reviewed import reviewed_labels
from provetune.workflow.run import audit_project
from tests.flows.conftest import ticket_rows, write_chat

ROWS = ticket_rows(200)


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def project(folder: Path) -> Project:
    opened = open_project(folder, [], quiet)
    begin_run(opened)
    return opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_chat(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "provetune.yaml").write_text("version: 1\nname: tickets\ndata: rows.jsonl\ntask: classify\n")
    return tmp_path


def vote_on(folder: Path, rows: int, wrong: int) -> list[str]:
    """A random round of one annotator, who gives the first rows another label than the file."""
    work = open_round(open_labelling(LabelWish(folder)), "anna", RoundWish("random", size=rows, overlap=0.0))
    seen: list[str] = []
    while (row := work.next_row(work.held())) is not None:
        label = ROWS[int(row.id[1:]) - 1][1]
        others = [other for other in work.labels if other != label]
        work.vote(row.id, others[0] if len(seen) < wrong else label)
        seen.append(row.id)
    return seen


def test_votes_that_differ_from_the_file_are_wrong_labels(folder: Path) -> None:
    assert reviewed_labels(project(folder)).wrong == {}
    seen = vote_on(folder, rows=30, wrong=4)
    assert reviewed_labels(project(folder)).wrong == {row: place < 4 for place, row in enumerate(seen)}


def test_rows_that_a_model_chose_do_not_count(folder: Path) -> None:
    vote_on(folder, rows=20, wrong=0)
    (file,) = (folder / "labels" / "rounds").glob("*.json")
    content = json.loads(file.read_text())
    for row in content["rows"][:15]:
        row["reason"] = "uncertain"
    file.write_text(json.dumps(content))
    assert LabelQueue.from_json(file.read_text()).rows[0].reason == "uncertain"
    assert len(reviewed_labels(project(folder)).wrong) == 5


@pytest.mark.parametrize(("wrong", "outcome"), [(0, "pass"), (40, "fail")])
def test_a_round_settles_whether_the_labels_are_accurate(wrong: int, outcome: str, folder: Path) -> None:
    before = {claim.name: claim for claim in audit_project(project(folder)).claims}["accurate"]
    assert before.outcome == "inconclusive" and "Needs review" in before.reason
    vote_on(folder, rows=120, wrong=wrong)
    after = {claim.name: claim for claim in audit_project(project(folder)).claims}["accurate"]
    assert after.outcome == outcome and "By the rows that people read" in after.reason
    assert after.value is not None and after.value.n == 120 and after.limit == MOST_WRONG


def test_two_annotators_bring_their_agreement_into_the_audit(folder: Path) -> None:
    assert reviewed_labels(project(folder)).agreement is None
    for name, turned in (("anna", 0), ("ben", 70)):
        work = open_round(open_labelling(LabelWish(folder)), name, RoundWish("random", size=80, overlap=1.0))
        seen = 0
        while (row := work.next_row(work.held())) is not None:
            label = ROWS[int(row.id[1:]) - 1][1]
            others = [other for other in work.labels if other != label]
            work.vote(row.id, others[seen % 2] if seen < turned else label)
            seen += 1
    report = audit_project(project(folder))
    assert report.agreement is not None and report.agreement.level == "revise the guideline"
    claim = {one.name: one for one in report.claims}["accurate"]
    assert claim.outcome == "inconclusive" and "Krippendorff's alpha" in claim.reason
    assert report.agreement.alpha in claim.measures.values()
    assert len(list((folder / "runs" / "latest" / "records").glob("agreement-*.json"))) == 1
