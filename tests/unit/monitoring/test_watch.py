"""Looks over time: alpha, clock, harm, proposals, notices; a real web server and a real mail server on this machine."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from provetune.errors import Notice, SpecError
from provetune.monitoring.clock import anchored, read_clock
from provetune.monitoring.harm import after, claim_from, missing_labels, read_harm
from provetune.monitoring.sample import Row
from provetune.monitoring.simulate import Course, simulate
from provetune.records.monitoring import Bets, DriftReport, RetrainProposal
from provetune.spec.parts import WatchSpec
from provetune.stats.proportion import clopper_pearson
from provetune.workflow.watch import Look, WatchWish, evaluated, watch
from provetune.workflow.watch_once import compare_windows

START = datetime(2026, 1, 5, tzinfo=UTC)
WORDS = np.array(
    ("card money bank transfer account please help why how lost fee top up refund pin app phone wrong rate cash").split()  # noqa: SIM905
)


def rows(count: int, seed: int, wrong: float = 0.1, extra: str = "") -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    found = []
    for k in range(count):
        label = str(random.choice(["a", "b"]))
        guess = ("b" if label == "a" else "a") if random.random() < wrong else label
        text = " ".join(random.choice(WORDS, 8)) + extra
        found.append({"id": f"{seed}-{k}", "text": text, "label": label, "prediction": guess})
    return found


def write(path: Path, content: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


class Days:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def wish(tmp_path: Path) -> WatchWish:
    write(tmp_path / "held.jsonl", rows(400, 1))
    (tmp_path / "log").mkdir()
    spec = WatchSpec(source=str(tmp_path / "log"), reference=str(tmp_path / "held.jsonl"))
    return WatchWish(spec, tmp_path / "watch", now=Days())


def week(wish: WatchWish, number: int, content: list[dict[str, Any]]) -> Look | None:
    assert isinstance(wish.now, Days)
    wish.now.now = START + timedelta(weeks=number)
    write(Path(wish.spec.source) / f"week{number:03}.jsonl", content)
    return watch(wish)


def test_quiet_weeks_then_a_new_word_then_harm(wish: WatchWish) -> None:
    for number in range(3):
        look = week(wish, number, rows(120, 10 + number))
        assert look is not None and not look.alarm and look.report.look == number + 1
        assert look.report.alpha == pytest.approx(0.05 / 26) and look.report.counts["requests"] == 120
    assert watch(wish) is None  # nothing is due
    look = week(wish, 3, rows(120, 20, extra=" zorblax"))
    assert look is not None and look.alarm and look.report.found == "drift" and look.proposal is None
    assert "zorblax" in look.report.sentence and look.page is not None and "zorblax" in look.page.read_text(encoding="utf-8")
    assert DriftReport.from_json(look.page.with_suffix(".json").read_text(encoding="utf-8")) == look.report
    assert look.report.to_label == () and not (wish.folder / "to-label.jsonl").exists()  # every row has its label
    look = week(wish, 4, rows(200, 30, wrong=0.5))
    assert look is not None and look.report.harm is not None and look.report.harm.alarm and look.proposal is not None
    assert look.proposal.reasons == ("harm",)
    [file] = (wish.folder / "proposals").iterdir()
    assert RetrainProposal.from_json(file.read_text(encoding="utf-8")) == look.proposal
    again = week(wish, 5, rows(100, 40, wrong=0.5))
    assert again is not None and again.proposal is None and again.alarm  # proposed once
    assert isinstance(wish.now, Days)
    evaluated(wish, wish.now())
    fresh = week(wish, 6, rows(100, 41))
    assert fresh is not None and not fresh.alarm and fresh.report.look == 1


def test_style_alone_notices_and_proposes_nothing(wish: WatchWish) -> None:
    for number in range(5):
        look = week(wish, number, rows(150, 50 + number, extra=" thx m8"))
        assert look is not None and look.report.found == "drift" and look.proposal is None


def test_rows_to_label_are_those_without_labels(wish: WatchWish) -> None:
    look = week(wish, 0, [{key: row[key] for key in ("id", "text", "prediction")} for row in rows(100, 3)])
    assert look is not None and len(look.report.to_label) == 50
    handed = (wish.folder / "to-label.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in handed] == list(look.report.to_label)
    assert look.report.harm is not None and look.report.harm.labels == 0
    assert look.report.harm.needed is not None


def test_level_spent_means_not_comparable(wish: WatchWish) -> None:
    spec = wish.spec.model_copy(update={"drift": wish.spec.drift.model_copy(update={"looks": 1})})
    wish = replace(wish, spec=spec)
    assert week(wish, 0, rows(100, 1)) is not None
    look = week(wish, 1, rows(100, 2))
    assert look is not None and look.report.found == "not comparable" and "evaluate the model again" in look.report.sentence


def test_the_clock_proposes_once_through_restarts_jumps_and_daylight_saving(wish: WatchWish) -> None:
    proposals = []
    moments = [START + timedelta(days=d) for d in (0, 1, 60, 119, 121, 122, 40, 200, 121, 300)]  # forward, back, far ahead
    for number, moment in enumerate(moments):
        assert isinstance(wish.now, Days)
        wish.now.now = moment.astimezone(timezone(timedelta(hours=2 if number % 2 else 1)))
        write(Path(wish.spec.source) / f"{number:03}.jsonl", rows(40, 300 + number))
        look = watch(wish)
        if look is not None and look.proposal is not None:
            proposals.append((number, look.proposal.reasons))
    assert proposals == [(4, ("clock",))]


def test_a_date_of_evaluation_in_the_future_is_mended() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert anchored("2030-01-01T00:00:00+00:00", now) == now == anchored("", now)
    assert not read_clock(now, now + timedelta(days=119), 4, False).is_due
    assert read_clock(now, now + timedelta(days=120), 4, False).is_due and read_clock(now, now, 1, False).every_days == 90
    with pytest.raises(ValueError, match="wanted UTC"):
        read_clock(datetime(2026, 1, 1), now, 4, False)  # noqa: DTZ001


def test_harm_counts_up_to_the_alarm() -> None:
    claim = claim_from(clopper_pearson(40, 400, 0.90), 0.03)
    bets = after(Bets(claim=claim), [1.0] * 4 + [0.0] * 36)
    assert not read_harm(bets).alarm and bets.total == 4
    bets = after(bets, ([1.0] + [0.0] * 2) * 50)
    found = read_harm(bets)
    assert found.alarm and found.needed is None and found.error.value == pytest.approx(54 / 190)
    random = np.random.default_rng(0)
    state = after(Bets(claim=claim), [])
    needed = read_harm(state).needed
    assert needed is not None and 40 < needed < 120
    shown = [read_harm(after(state, (random.random(3 * needed) < claim + 0.10).astype(float).tolist())).alarm for _ in range(40)]
    assert np.mean(shown) > 0.8
    from provetune.stats.sequential import Betting

    assert missing_labels(Betting(0.5)) > missing_labels(Betting(0.1))


class Inbox:
    """What arrived: posted documents and mails."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.mails: list[str] = []
        self.refuse = False


@contextmanager
def servers(inbox: Inbox) -> Iterator[tuple[int, int]]:
    class Web(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not inbox.refuse:
                inbox.posts.append(json.loads(body))
            self.send_response(503 if inbox.refuse else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    class Mail(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            content: list[str] | None = None
            for raw in self.rfile:
                line = raw.decode().rstrip("\r\n")
                if content is not None:
                    if line == ".":
                        inbox.mails.append("\n".join(content))
                        content = None
                        self.wfile.write(b"250 taken\r\n")
                    else:
                        content.append(line)
                elif line.upper() == "DATA":
                    content = []
                    self.wfile.write(b"354 go on\r\n")
                elif line.upper() == "QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 ok\r\n")

    with HTTPServer(("127.0.0.1", 0), Web) as web, socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail) as mail:
        for server in (web, mail):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        yield web.server_address[1], mail.server_address[1]
        for server in (web, mail):
            server.shutdown()


def test_notices_go_out_and_are_kept_until_they_are_taken(wish: WatchWish) -> None:
    inbox = Inbox()
    with servers(inbox) as (web, mail):
        targets = [f"http://127.0.0.1:{web}/hook", f"mailto:team@example.org?server=127.0.0.1:{mail}"]
        wish = replace(wish, spec=wish.spec.model_copy(update={"notify": targets}))
        assert week(wish, 0, rows(100, 1)) is not None and not inbox.posts
        inbox.refuse = True
        with pytest.warns(Notice, match="sent again at the next look"):
            week(wish, 1, rows(100, 2, extra=" zorblax"))
        inbox.refuse = False
        assert watch(wish) is None
    assert [post["found"] for post in inbox.posts] == ["drift"] and "zorblax" not in json.dumps(inbox.posts)
    assert len(inbox.mails) == 1 and "Subject: provetune watch, look 2: DRIFT" in inbox.mails[0]


def test_a_target_of_another_kind_and_a_missing_reference_are_refused(wish: WatchWish) -> None:
    with pytest.raises(SpecError, match=r"watch\.reference is missing"):
        watch(replace(wish, spec=wish.spec.model_copy(update={"reference": None})))
    week(wish, 0, rows(100, 1))
    with pytest.raises(SpecError, match="wanted https"):
        week(replace(wish, spec=wish.spec.model_copy(update={"notify": ["ftp://x"]})), 1, rows(100, 2, extra=" zorblax"))
        watch(wish)


def test_two_files_compared_once(tmp_path: Path) -> None:
    held = write(tmp_path / "held.jsonl", rows(300, 1))
    same = compare_windows(held, write(tmp_path / "same.jsonl", rows(200, 2)), 0.05)
    assert same.found == "none" and same.harm is not None and not same.harm.alarm
    worse = compare_windows(held, write(tmp_path / "worse.jsonl", rows(200, 3, wrong=0.4)), 0.05)
    assert worse.harm is not None and worse.harm.alarm
    short = compare_windows(write(tmp_path / "short.jsonl", rows(20, 4)), held, 0.05)
    assert short.found == "not comparable" and "holds 20 distinct texts, wanted 50" in short.sentence
    assert compare_windows(held, tmp_path / "same.jsonl", 0.05) == same


def test_simulated_months() -> None:
    content = [Row(row["text"], label=row["label"]) for row in rows(900, 7)] + [
        Row(f"cheque book {row['text']} branch", label="c") for row in rows(100, 8)
    ]
    course = Course(weeks=6, requests=120, labels=60, planted_week=3, runs=1)
    found = simulate(content, course)
    by_kind = {one.plant.split(" (")[0]: one for one in found.plants}
    assert by_kind["nothing"].noticed == 0 and by_kind["nothing"].harmed == 0
    assert by_kind["new topic"].noticed == 1 and by_kind["new word"].noticed == 1 and by_kind["new word"].harmed == 0
    assert by_kind["labels change meaning"].harmed == 1 and by_kind["labels change meaning"].labels_to_harm is not None
    assert by_kind["other style"].noticed == 1 and by_kind["other style"].harmed == 0
    assert sum(one.false_notices + one.false_harms for one in found.plants) == 0
    assert simulate(content, course) == found
