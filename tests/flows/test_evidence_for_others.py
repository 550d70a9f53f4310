"""What leaves the house after a run: a report without rows, votes of people, money; each still verifies."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

from provetune.records.evaluation import Evidence
from provetune.workflow.verify import verify
from provetune.workflow.vote import open_voting, round_of
from tests.flows.conftest import Trained, call, ticket_rows, write_project


def evidence_of(folder: Path) -> Evidence:
    return verify(folder / "runs" / "latest" / "evidence.json")[0]


def test_a_redacted_report_holds_no_text_of_a_row_and_its_evidence_still_verifies(trained: Trained) -> None:
    done = call("-C", trained.folder, "report", "--redact")
    assert done.code == 0, done.err
    run = (trained.folder / "runs" / "latest").resolve()
    page, evidence = (
        (run / "report-redacted.html").read_text(encoding="utf-8"),
        (run / "evidence-redacted.json").read_text(encoding="utf-8"),
    )
    texts, labels = {text for text, _ in ticket_rows(120)}, {label for _, label in ticket_rows(120)}
    whole = (run / "report.html").read_text(encoding="utf-8") + (run / "evidence.json").read_text(encoding="utf-8")
    assert any(html.escape(text) in whole for text in texts), "the whole report does show rows"
    assert not [text for text in texts if text in page or html.escape(text) in page or text in evidence]
    assert not [text[:20] for text in texts if text[:20] in page or text[:20] in evidence], "nor the beginning of one"
    assert not [label for label in labels - {"access"} if label in evidence or f">{label}<" in page]  # access is a word of the page
    before, after = Evidence.from_json((run / "evidence.json").read_text()), Evidence.from_json(evidence)
    assert after.decision == before.decision and after.openings == before.openings
    assert [e.candidate.fingerprint for e in after.evaluations] == [e.candidate.fingerprint for e in before.evaluations]
    assert call("report", "--verify", run / "evidence-redacted.json").code == 0


def test_a_redacted_evidence_that_was_changed_is_refused(trained: Trained, tmp_path: Path) -> None:
    assert call("-C", trained.folder, "report", "--redact").code == 0
    content = json.loads((trained.folder / "runs" / "latest" / "evidence-redacted.json").read_text())
    content["evaluations"][-1]["candidate"]["hidden_key"] = "0" * 16
    (tmp_path / "evidence.json").write_text(json.dumps(content))
    assert call("report", "--verify", tmp_path / "evidence.json").code == 2


def test_a_report_of_changed_data_is_not_redacted(trained: Trained) -> None:
    with (trained.folder / "tickets.csv").open("a", encoding="utf-8") as file:
        file.write("t999,a wholly new message about an invoice,billing\n")
    done = call("-C", trained.folder, "report", "--redact")
    assert done.code == 2 and "changed since that run" in done.err


def test_votes_of_people_join_the_evidence_and_the_report(trained: Trained) -> None:
    voting = open_voting(trained.folder, None, 20)
    assert voting.pairs and all(pair.prompt for pair in voting.pairs)
    for rater in ("anna", "ben"):
        work = round_of(voting, rater)
        while (row := work.next_row(work.held())) is not None:
            work.vote(row.id, "1" if voting.swapped(rater, next(p for p in voting.pairs if p.id == row.id)) else "2")
    ledger = (trained.folder / "ledger.jsonl").read_bytes()
    shown = call("-C", trained.folder, "vote")
    assert shown.code == 0 and "people prefer the baseline" in shown.out, shown.err
    assert (trained.folder / "ledger.jsonl").read_bytes() == ledger, "showing pairs is no new opening"
    assert call("-C", trained.folder, "prove").code == trained.done.code
    found = evidence_of(trained.folder)
    assert (
        found.human is not None
        and found.human.win_rate.value == 0.0
        and found.human.raters == {"anna": len(voting.pairs), "ben": len(voting.pairs)}
    )
    assert "Blind votes" in (trained.folder / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    content = json.loads((trained.folder / "runs" / "latest" / "evidence.json").read_text())
    content["human"]["win_rate"]["value"] = 0.9
    (trained.folder / "changed.json").write_text(json.dumps(content))
    assert call("report", "--verify", trained.folder / "changed.json").code == 2


def test_money_is_in_the_evidence_and_a_changed_figure_is_found(trained: Trained) -> None:
    values = {"requests_per_month": 10_000, "machine_usd_per_hour": 1, "minutes_saved": 1, "reviewer_usd_per_hour": 30}
    sets = [word for key, value in values.items() for word in ("--set", f"value.{key}={value}")]
    assert call("-C", trained.folder, "prove", *sets).code == trained.done.code
    found = evidence_of(trained.folder).roi
    assert found is not None and found.costs.usd_per_right == 0.5 and found.alternatives[0].gain_usd_per_1k is not None
    page = (trained.folder / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    assert found.sentence[:40] in page.split('id="comparison"')[0] and "months to pay back" in page
    content = json.loads((trained.folder / "runs" / "latest" / "evidence.json").read_text())
    content["roi"]["costs"]["usd_per_right"] = 5.0
    (trained.folder / "changed.json").write_text(json.dumps(content))
    assert call("report", "--verify", trained.folder / "changed.json").code == 2


@pytest.mark.slow
def test_several_seeds_stand_beside_the_verdict(tmp_path: Path, base_folder: Path) -> None:
    more = "prove: {retention: [], fairness: {counterfactual: none}}\n"
    folder = write_project(tmp_path / "project", base_folder, rows=120, more=more)
    done = call("-C", folder, "run", "--set", "train.seeds=[1,2,3]")
    assert done.code in (0, 3, 4), done.err
    found = evidence_of(folder)
    assert found.seeds is not None and found.seeds.seeds == (1, 2, 3)
    assert {e.candidate.name for e in found.seeds.evaluations} == {"tuned-lora", "tuned-lora-seed-2", "tuned-lora-seed-3"}
    assert len({e.candidate.weights_sha256 for e in found.seeds.evaluations}) == 3
    assert {a.baseline for a in found.seeds.against} == {"zero-shot", "few-shot"}
    assert "Several seeds" in (folder / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    assert call("-C", folder, "prove", "--set", "train.seeds=[1,2,3]").code == done.code
    content = json.loads((folder / "runs" / "latest" / "evidence.json").read_text())
    content["seeds"]["against"][0]["between_seeds"] = 0.0001
    (folder / "changed.json").write_text(json.dumps(content))
    assert call("report", "--verify", folder / "changed.json").code == 2
