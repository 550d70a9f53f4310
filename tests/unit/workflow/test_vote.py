"""Blind votes: hidden names, random order, the same result by page, terminal and sheet."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from provetune.cli import main
from provetune.errors import DataError, SpecError
from provetune.evaluation.blind_votes import vote_agreement, win_rate
from provetune.records.blind_votes import VoteReport
from provetune.workflow.vote import ANSWERS, Voting, hand_out_pairs, open_voting, round_of, take_in_votes, tally


def write(file: Path, texts: dict[str, str | None]) -> Path:
    file.write_text("".join(json.dumps({"id": k, "prediction": v, "target": "t"}) + "\n" for k, v in texts.items()), encoding="utf-8")
    return file


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """40 rows that differ, 10 that are equal, one that only one side completed."""
    ours: dict[str, str | None] = {f"r{k}": f"ours {k}" for k in range(40)} | {f"e{k}": f"same {k}" for k in range(10)} | {"x": None}
    theirs = {name: None if text is None else text.replace("ours", "theirs") for name, text in ours.items()} | {"x": "only theirs"}
    return write(tmp_path / "a.jsonl", ours), write(tmp_path / "b.jsonl", theirs)


@pytest.fixture
def voting(files: tuple[Path, Path]) -> Voting:
    return open_voting(files[0].parent, files, 40)


def vote_for(voting: Voting, rater: str, wanted: str, count: int = 40) -> None:
    """The rater takes the completion that begins so, wherever it stands."""
    work = round_of(voting, rater)
    for _ in range(count):
        row = work.next_row(work.held())
        assert row is not None
        first = row.prompt[-2].text.startswith(f"[1] {wanted}")
        work.vote(row.id, "1" if first else "2")


def test_equal_and_missing_completions_are_counted_and_not_shown(voting: Voting) -> None:
    assert (voting.rows, voting.equal, len(voting.pairs)) == (50, 10, 40)


def test_the_order_is_drawn_for_each_rater_and_pair_and_tells_no_name(voting: Voting) -> None:
    shown = {rater: [voting.row(rater, pair).prompt[-2].text.startswith("[1] ours") for pair in voting.pairs] for rater in ("anna", "ben")}
    assert all(8 <= sum(first) <= 32 for first in shown.values()) and shown["anna"] != shown["ben"]
    assert shown["anna"] == [voting.row("anna", pair).prompt[-2].text.startswith("[1] ours") for pair in voting.pairs]
    assert all(turn.role in ("user", "assistant") for pair in voting.pairs for turn in voting.row("anna", pair).prompt)


def test_votes_are_decoded_to_the_candidate_whatever_the_order(voting: Voting) -> None:
    vote_for(voting, "anna", "ours")
    vote_for(voting, "ben", "ours", 30)
    found = tally(voting)
    assert found.raters == {"anna": 40, "ben": 30} and all(pair[1:] == (0, 0, 0) for pair in found.votes)
    assert found.win_rate.value == 1.0 and found.win_rate.n == 40 and (found.win_rate.low or 0) < 1
    assert VoteReport.from_json((voting.folder / "blind-votes.json").read_text()) == found


def test_a_rater_who_contradicts_gives_agreement_below_chance(voting: Voting) -> None:
    vote_for(voting, "anna", "ours")
    vote_for(voting, "ben", "theirs")
    found = tally(voting)
    assert found.win_rate.value == 0.5 and found.agreement.value is not None and found.agreement.value < -0.9


def test_win_rate_and_alpha_of_counted_votes() -> None:
    votes = [(2, 0, 0, 0), (0, 2, 0, 0), (1, 1, 0, 0), (0, 0, 1, 1)]
    assert win_rate(votes).value == pytest.approx((1 + 0 + 0.5 + 0.5) / 4)
    # by hand: observed disagreement 4 of 8, expected 1 - (3*2 + 3*2 + 0 + 0) / (8*7) = 44/56
    assert vote_agreement(votes).value == pytest.approx(1 - (4 / 8) / (44 / 56))
    assert win_rate([]).value is None and vote_agreement([(1, 0, 0, 0)]).value is None


def test_the_sheet_takes_the_same_way(voting: Voting, tmp_path: Path) -> None:
    sheet = tmp_path / "pairs.csv"
    assert hand_out_pairs(round_of(voting, "cleo"), sheet) == 40
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8-sig"))))
    for row in rows[:3]:
        row["label"] = "1" if "[1] ours" in row["text"] else "2"
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert take_in_votes(round_of(voting, "cleo"), sheet) == (3, {"no label": 37})
    assert tally(voting).win_rate.value == 1.0
    with pytest.raises(DataError, match="says something else now"):
        take_in_votes(round_of(voting, "dora"), sheet)  # what another rater was shown stood in another order
    with pytest.raises(SpecError, match="--to"):
        hand_out_pairs(round_of(voting, "cleo"), tmp_path / "pairs.json")


def test_votes_on_completions_that_changed_are_set_aside(voting: Voting, files: tuple[Path, Path]) -> None:
    vote_for(voting, "anna", "ours")
    fewer = Voting(voting.folder, voting.names, voting.keys, voting.rows, voting.equal, voting.pairs[:30])
    assert (tally(fewer).set_aside, tally(fewer).raters) == (10, {"anna": 30})


def test_the_verb_in_a_terminal(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n9\n0\ns\nq\n"))
    assert main(["vote", *map(str, files), "--rater", "anna", "--terminal"]) == 0
    told = capsys.readouterr()
    assert "anna 2" in told.out and "against" not in told.out, "a rater sees no names"
    assert "[1] " in told.err and "a.jsonl" not in told.err.split("Votes")[0]
    assert main(["vote", *map(str, files), "--format", "json"]) == 0
    found = VoteReport.from_json(capsys.readouterr().out)
    assert sum(map(sum, found.votes)) == 2 and sum(pair[3] for pair in found.votes) == 1
    assert main(["vote", str(files[0])]) == 2 and main(["vote", *map(str, files), "--terminal"]) == 2


def test_the_page_has_the_four_keys(voting: Voting) -> None:
    from starlette.testclient import TestClient

    from provetune.labelling.page import Access, label_page
    from provetune.report.words import visible

    access = Access(8124, lambda: None)
    client = TestClient(label_page(round_of(voting, "anna"), access, visible), base_url="http://127.0.0.1:8124")
    text = client.get(access.url).text
    assert [f'value="{label}" data-key="{key}"' in text for label, key in zip(ANSWERS, "1230", strict=True)] == [True] * 4
    assert "Which completion is better?" in text and "a.jsonl" not in text
