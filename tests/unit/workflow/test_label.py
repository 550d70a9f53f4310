"""Labelling as the command line drives it: setup that is kept, rounds that continue, reviews, held-out rows, files in and out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provetune.errors import DataError, FolderError, SpecError
from provetune.labelling.round import Round
from provetune.labelling.votes import standing
from provetune.records.data import AuditReport, Finding
from provetune.records.labels import Agreement
from provetune.workflow.label import Labelling, LabelWish, open_labelling, summary, write_consensus
from provetune.workflow.label_round import RoundWish, hand_out, open_round, take_in

TEXTS = [f"{'invoice refund' if k % 2 else 'password login'} number {k}" for k in range(40)]
TRUTH = ["billing" if k % 2 else "login" for k in range(40)]


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\n" + "".join(f"t{k},{text}\n" for k, text in enumerate(TEXTS)), encoding="utf-8")
    return path


def opened(path: Path, labels: str = "billing,login") -> Labelling:
    return open_labelling(LabelWish(path, tuple(labels.split(",")) if labels else ()))


def label_all(work: Round, wrong: tuple[str, ...] = ()) -> list[str]:
    """Vote the truth on every open row, the other label on the wrong ones."""
    seen = []
    while (row := work.next_row(work.held())) is not None:
        truth = TRUTH[int(row.id[1:])]
        work.vote(row.id, {"billing": "login", "login": "billing"}[truth] if row.id in wrong else truth)
        seen.append(row.id)
    return seen


def test_the_second_annotator_is_told_the_same(unlabelled: Path) -> None:
    guide = unlabelled.parent / "guide.md"
    guide.write_text("first version")
    first = open_labelling(LabelWish(unlabelled, ("1", "2", "3"), "ordinal", guide))
    again = open_labelling(LabelWish(unlabelled))
    assert (again.labels, again.scale, again.guideline) == (("1", "2", "3"), "ordinal", first.guideline)
    guide.write_text("second version")
    changed = open_labelling(LabelWish(unlabelled, guideline=guide))
    assert changed.guideline.text == "second version" and changed.labels == ("1", "2", "3")
    assert len(list((unlabelled.parent / "rows.csv.labels" / "guidelines").glob("*.md"))) == 2


def test_a_round_continues_until_it_is_finished_then_a_new_one_begins(unlabelled: Path) -> None:
    labelling = opened(unlabelled)
    wish = RoundWish(size=10, overlap=0.5)
    anna = open_round(labelling, "anna", wish)
    assert len(label_all(anna)) == 10
    same = open_round(labelling, "anna", RoundWish(size=99))
    assert same.queue == anna.queue and same.next_row(same.held()) is None
    ben = open_round(labelling, "ben", wish)
    assert ben.queue == anna.queue and len(label_all(ben)) == 5
    second = open_round(labelling, "anna", wish)
    assert second.queue.number == 2 and not {row.example_id for row in second.queue.rows} & {row.example_id for row in anna.queue.rows}


def test_an_active_round_knows_its_test_part_from_the_first_round_on(unlabelled: Path) -> None:
    labelling = opened(unlabelled)
    label_all(open_round(labelling, "anna", RoundWish(size=14, overlap=0.0)))
    first = open_round(labelling, "anna", RoundWish(kind="active", size=12, overlap=0.0))
    assert len(first.queue.held_out) == 8 and {row.reason for row in first.queue.rows} == {"random", "uncertain", "least covered"}
    label_all(first)
    second = open_round(labelling, "anna", RoundWish(kind="active", size=12, overlap=0.0))
    assert second.queue.held_out == first.queue.held_out and second.queue.number == 2
    chosen = {row.example_id for queue in (first.queue, second.queue) for row in queue.rows if row.reason != "random"}
    assert chosen and not chosen & set(first.queue.held_out)
    label_all(second)
    out = unlabelled.parent / "labelled.jsonl"
    done = write_consensus(labelling, out)
    test = [json.loads(line) for line in out.with_name("labelled.test.jsonl").read_text().splitlines()]
    assert {row["id"] for row in test} <= set(first.queue.held_out) and {row["chosen_by"] for row in test} == {"random"}
    assert done.train + done.test == 38 and done.unlabelled == 2


def project(folder: Path) -> Path:
    """A project of labelled rows with an audit that flags some."""
    folder.mkdir()
    rows = "".join(f"t{k},{text},{TRUTH[k]}\n" for k, text in enumerate(TEXTS))
    (folder / "rows.csv").write_text("id,text,label\n" + rows, encoding="utf-8")
    (folder / "provetune.yaml").write_text("version: 1\nname: x\ntask: classify\ndata: rows.csv\nbase: starter\n")
    records = folder / "runs" / "one" / "records"
    records.mkdir(parents=True)
    found = (
        Finding(check="conflicting_labels", severity="warning", message="", count=1, example_ids=("t5",)),
        Finding(check="label_errors", severity="warning", message="", count=2, example_ids=("t9", "t2")),
    )
    audit = AuditReport(dataset="", count=40, task="classify", label_counts={}, findings=found, tokens=None, groups={})
    (records / "audit-1.json").write_text(audit.to_json())
    return folder


def test_a_projects_review_takes_what_the_audit_flagged_worst_first(tmp_path: Path) -> None:
    labelling = opened(project(tmp_path / "p"), labels="")
    assert labelling.labels == ("billing", "login") and labelling.folder == tmp_path / "p" / "labels"
    work = open_round(labelling, "anna", RoundWish(kind="review"))
    assert [row.example_id for row in work.queue.rows] == ["t9", "t2", "t5"]
    label_all(work, wrong=("t2",))
    done = write_consensus(labelling, tmp_path / "mended.jsonl")
    assert (done.train, done.changed, done.undecided) == (40, 1, 0)


def test_ids_of_a_review_may_come_from_a_file(tmp_path: Path, unlabelled: Path) -> None:
    labelling = opened(unlabelled)
    (tmp_path / "ids.txt").write_text("t3\n\nt1\n")
    work = open_round(labelling, "anna", RoundWish(kind="review", flagged=tmp_path / "ids.txt"))
    assert [row.example_id for row in work.queue.rows] == ["t3", "t1"]
    (tmp_path / "more.txt").write_text("t8\nt3\n")
    assert open_round(labelling, "ben", RoundWish(kind="review", flagged=tmp_path / "ids.txt")).queue == work.queue
    other = open_round(labelling, "anna", RoundWish(kind="review", flagged=tmp_path / "more.txt"))
    assert [row.example_id for row in other.queue.rows] == ["t8", "t3"]
    audit = next((project(tmp_path / "p") / "runs").glob("*/records/audit-*"))
    assert len(open_round(opened(tmp_path / "p", labels=""), "anna", RoundWish(kind="review", flagged=audit)).queue.rows) == 3
    with pytest.raises(DataError, match="no audit to take flagged rows from"):
        open_round(opened(unlabelled), "ben", RoundWish(kind="review"))
    (tmp_path / "broken.json").write_text('{"schema": "provetune.split/1"}')
    with pytest.raises(DataError, match=r"broken\.json: is no audit"):
        open_round(opened(unlabelled), "anna", RoundWish(kind="review", flagged=tmp_path / "broken.json"))


def test_adjudication_is_for_somebody_else(unlabelled: Path) -> None:
    labelling = opened(unlabelled)
    wish, adjudicate = RoundWish(size=6, overlap=1.0), RoundWish(kind="adjudicate")
    seen = label_all(open_round(labelling, "anna", wish))
    label_all(open_round(labelling, "ben", wish), wrong=tuple(seen[:2]))
    assert summary(labelling).undecided == 2
    with pytest.raises(DataError, match="ben voted on all 2 undecided rows; a third person adjudicates"):
        open_round(labelling, "ben", adjudicate)
    cleo = open_round(labelling, "cleo", adjudicate)
    before = summary(labelling)
    assert sorted(label_all(cleo)) == sorted(seen[:2])
    after = summary(labelling)
    assert after.undecided == 0 and after.alpha == before.alpha
    assert open_round(labelling, "dan", adjudicate).queue.rows == ()
    assert Agreement.from_json((labelling.folder / "agreement.json").read_text()) == after


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_round_may_be_done_in_a_spreadsheet(unlabelled: Path, ending: str) -> None:
    labelling = opened(unlabelled)
    sheet = unlabelled.parent / f"anna.{ending}"
    assert hand_out(open_round(labelling, "anna", RoundWish(size=8)), sheet, "label-studio") == (8, [sheet])
    assert take_in(labelling, sheet, "anna") == (0, {"no label": 8})
    with pytest.raises(SpecError, match="add --annotator"):
        take_in(labelling, sheet, None)


def test_a_round_may_be_done_in_another_tool(unlabelled: Path) -> None:
    labelling = opened(unlabelled)
    work = open_round(labelling, "everyone", RoundWish(size=4))
    tasks, records = unlabelled.parent / "tasks.json", unlabelled.parent / "records.json"
    assert hand_out(work, tasks, "label-studio") == (4, [tasks, tasks.with_suffix(".xml")])
    assert hand_out(work, records, "argilla") == (4, [records])
    content = json.loads(tasks.read_text())
    for task in content:
        results = [{"from_name": "label", "type": "choices", "value": {"choices": ["login"]}}]
        task["annotations"] = [{"completed_by": k, "result": results} for k in (1, 2)]
    tasks.write_text(json.dumps(content))
    assert take_in(labelling, tasks, None) == (8, {}) and take_in(labelling, tasks, None) == (0, {"unchanged": 8})
    answered = json.loads(records.read_text())
    answered[0]["responses"] = {"label": [{"value": "billing", "user_id": "u"}]}
    records.write_text(json.dumps(answered))
    assert take_in(labelling, records, None) == (1, {})
    assert {vote.source for vote in standing(labelling.log.votes()).values()} == {"label-studio", "argilla"}
    with pytest.raises(SpecError, match="found the ending '.txt'"):
        hand_out(work, unlabelled.with_suffix(".txt"), "argilla")


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        (LabelWish(Path("x.csv"), ("a", "\udcff")), SpecError, "--labels: found"),
        (LabelWish(Path("x.csv"), ("a", "b"), "interval"), SpecError, "wanted numbers"),
        (LabelWish(Path("x.csv"), ("a", "b"), None, Path("gone.md")), FolderError, "gone.md: cannot be read"),
        (LabelWish(Path("y.csv")), DataError, "y.csv"),
        (LabelWish(Path()), SpecError, "provetune init"),
    ],
)
def test_wishes_that_cannot_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: LabelWish, error: type[Exception], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("text\none\n")
    with pytest.raises(error, match=words):
        open_labelling(wish)
    with pytest.raises(SpecError, match="--annotator: found ' '"):
        open_round(open_labelling(LabelWish(Path("x.csv"))), " ", RoundWish())
