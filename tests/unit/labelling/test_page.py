"""The page from outside: who may come in, what is refused, what is shown and escaped; votes end in the log."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

import provetune.labelling.page as page
from provetune.labelling.page import LARGEST_BODY, Access, guideline_html, label_page
from provetune.labelling.queues import QueueRequest, adjudication_queue
from provetune.labelling.round import Guideline, Round
from provetune.report.words import visible
from tests.unit.labelling.desk import row, work

HOME = "http://127.0.0.1:8123"


class Visitor:
    """A browser that opened the address with the key."""

    def __init__(self, one: Round) -> None:
        self.work = one
        self.stopped: list[bool] = []
        self.access = Access(8123, lambda: self.stopped.append(True))
        self.client = TestClient(label_page(one, self.access, visible), base_url=HOME)
        self.opened = self.client.get(self.access.url)

    def post(self, path: str, origin: str | None = HOME, **fields: str) -> Response:
        headers = {"content-type": "application/x-www-form-urlencoded", **({"origin": origin} if origin else {})}
        return self.client.post(path, content=urlencode(fields), headers=headers)

    def shown(self) -> str:
        found = re.search(r'name="row" value="([^"]+)"', self.client.get("/").text)
        assert found is not None
        return found[1]


@pytest.fixture
def visitor(tmp_path: Path) -> Visitor:
    return Visitor(work(tmp_path, "anna"))


def test_a_row_its_labels_and_the_guideline_are_shown(visitor: Visitor) -> None:
    text = visitor.opened.text
    assert visitor.opened.status_code == 200 and str(visitor.opened.url) == f"{HOME}/"
    assert f"text of {visitor.shown()}" in text and "0 of 6 labelled" in text
    assert re.findall(r'name="value" value="(\w+)" data-key="(\d)"', text) == [("billing", "1"), ("login", "2"), ("other", "3")]
    assert "<strong>billing</strong>: money" in text


def test_voting_by_plain_forms_to_the_end(visitor: Visitor) -> None:
    first = visitor.shown()
    answered = visitor.post("/vote", row=first, value="login", comment="a & b")
    assert answered.status_code == 200 and f"Saved row {first} as <strong>login</strong>" in answered.text  # redirected
    assert (visitor.work.log.votes()[-1].value, visitor.work.log.votes()[-1].comment) == ("login", "a & b")
    assert visitor.shown() != first
    visitor.post("/undo")
    assert visitor.shown() == first and visitor.work.held() == {}
    visitor.post("/vote", row=first, skip="1")
    while 'id="vote"' in visitor.client.get("/").text:
        visitor.post("/vote", row=visitor.shown(), value="billing")
    done = visitor.client.get("/").text
    assert "Nothing left to label" in done and "You skipped 1 row." in done and "Nobody else has voted yet" in done
    visitor.post("/again")
    assert visitor.shown() == first
    assert "Every vote is saved" in visitor.post("/finish").text and visitor.stopped == [True]


def test_agreement_comes_out_when_the_second_annotator_is_done(tmp_path: Path) -> None:
    anna, ben = Visitor(work(tmp_path, "anna")), Visitor(work(tmp_path, "ben"))
    for number in range(6):
        for one in (anna, ben):
            one.post("/vote", row=one.shown(), value="billing" if number % 2 or one is anna else "login")
    text = " ".join(ben.client.get("/").text.split())
    assert "6 rows with two votes or more, 3 undecided" in text and re.search(r"alpha -?0\.\d+ \[-?\d\.\d+, 0\.\d+\], n=6: <strong>", text)


def test_the_key_opens_once_and_only_this_browser(visitor: Visitor) -> None:
    stranger = TestClient(visitor.client.app, base_url=HOME)
    for address in (visitor.access.url, f"{HOME}/start?key=guess", f"{HOME}/start", f"{HOME}/"):
        refused = stranger.get(address)
        assert refused.status_code == 403 and "text of" not in refused.text and not stranger.cookies
    assert stranger.post("/vote", content="row=r1&value=login", headers={"origin": HOME}).status_code == 403
    assert visitor.client.get(visitor.access.url).status_code == 200  # the same browser may use its link again
    cookie = visitor.client.get(visitor.access.url, follow_redirects=False).headers.get("set-cookie", "")
    assert "key" not in cookie and visitor.work.log.votes() == []


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(tmp_path: Path) -> None:
    access = Access(8123, lambda: None)
    client = TestClient(label_page(work(tmp_path, "anna"), access, visible), base_url=HOME, follow_redirects=False)
    cookie = client.get(access.url).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and access.key not in cookie


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8123", "127.0.0.1", "127.0.0.1:80", "localhost:9", "0.0.0.0:8123"])
def test_another_host_name_is_refused(visitor: Visitor, host: str) -> None:
    for path in ("/", f"/start?key={visitor.access.key}"):
        refused = visitor.client.get(path, headers={"host": host})
        assert refused.status_code == 403 and "text of" not in refused.text


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:8124", "https://127.0.0.1:8123"])
def test_a_post_from_elsewhere_is_refused(visitor: Visitor, origin: str | None) -> None:
    for path in ("/vote", "/undo", "/again", "/finish"):
        assert visitor.post(path, origin=origin, row="r1", value="login").status_code == 403
    assert visitor.work.log.votes() == [] and visitor.stopped == []


def test_votes_that_make_no_sense_are_refused_with_a_message(visitor: Visitor) -> None:
    shown = visitor.shown()
    for fields, words in (
        ({"row": "r99", "value": "login"}, "not in this round"),
        ({"row": shown, "value": "<b>refund"}, "found &#39;&lt;b&gt;refund&#39;"),
        ({"value": "login"}, "not in this round"),
        ({"row": shown}, "wanted one of the 3 labels"),
    ):
        refused = visitor.post("/vote", **fields)
        assert refused.status_code == 400 and words in refused.text and 'role="alert"' in refused.text
    assert visitor.work.log.votes() == []


def test_a_vote_that_cannot_be_written_is_said_on_the_page(visitor: Visitor) -> None:
    shown = visitor.shown()
    visitor.work.log.path.mkdir()
    failed = visitor.post("/vote", row=shown, value="login")
    assert failed.status_code == 500 and "Not saved: " in failed.text and "could not be written" in failed.text


def test_sizes_are_capped(visitor: Visitor) -> None:
    shown = visitor.shown()
    assert visitor.post("/vote", row=shown, value="login", comment="x" * LARGEST_BODY).status_code == 413
    assert visitor.post("/vote", **{f"field{k}": "x" for k in range(20)}).status_code == 413
    for action in ({"value": "login"}, {"skip": "1"}):
        refused = visitor.post("/vote", row=shown, comment="x" * 2_001, **action)
        assert refused.status_code == 400 and "x" * 2_001 in refused.text  # nothing typed is lost
    assert visitor.work.log.votes() == []


def test_the_longest_answer_in_any_script_is_taken(tmp_path: Path) -> None:
    visitor = Visitor(work(tmp_path, "anna", labels=()))
    assert visitor.post("/vote", row=visitor.shown(), value="\U0001f600" * 20_000, comment="é" * 2_000).status_code == 200
    assert len(visitor.work.log.votes()[0].value or "") == 20_000


def test_rows_labels_names_and_comments_are_text_and_never_markup(tmp_path: Path) -> None:
    one = work(tmp_path, "<i>anna", labels=("<b>x</b>", 'a"b', "long_label_name"))
    nasty = row("r0", "<script>alert(1)</script>\u202eabc\x00")
    visitor = Visitor(replace(one, rows=dict.fromkeys(one.rows, nasty)))
    text = visitor.client.get("/").text
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)&lt;/script&gt;⟨U+202E⟩abc⟨U+0000⟩" in text
    assert "<b>x</b>" not in text and "&lt;i&gt;anna" in text and 'value="a&#34;b"' in text and "long_<wbr>label_<wbr>name" in text


def test_a_strict_policy_and_nothing_from_outside(visitor: Visitor) -> None:
    for answer in (visitor.client.get("/"), visitor.client.get("/", headers={"host": "evil"}), visitor.post("/finish")):
        policy = answer.headers["content-security-policy"]
        nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
        assert nonce is not None and "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert set(re.findall(r'<(?:script|style) nonce="([\w-]+)"', answer.text)) == {nonce[1]}
        assert not re.findall(r"<(?:script|style)>", answer.text) and "//" not in re.sub(r"//[^\n]*\n", "", answer.text)
        assert answer.headers["cache-control"] == "no-store" and answer.headers["x-content-type-options"] == "nosniff"
    first, second = (visitor.client.get("/").headers["content-security-policy"] for _ in range(2))
    assert first != second


def test_the_guideline_cannot_smuggle_markup_or_images() -> None:
    text = guideline_html("![x](http://a/b.png) <img src=x> [y](javascript:alert(1))\n\n|a|b|\n|-|-|\n|1|2|\n")
    assert "<img" not in text and 'href="javascript' not in text and "<table>" in text


def test_who_adjudicates_sees_votes_without_names(tmp_path: Path) -> None:
    anna, ben = work(tmp_path, "anna", count=1), work(tmp_path, "ben", count=1)
    anna.vote("r0", "billing", "looks like money")
    ben.vote("r0", "login")
    queue = adjudication_queue(QueueRequest(rows=anna.rows, labelled={}, voted=(), number=1), ["r0"])
    text = Visitor(replace(anna, annotator="cleo", queue=queue)).client.get("/").text
    assert "What the others said" in text and "looks like money" in text and "anna" not in text and "ben<" not in text


def test_without_a_guideline_there_is_no_empty_box(tmp_path: Path) -> None:
    text = Visitor(replace(work(tmp_path, "anna"), guideline=Guideline())).client.get("/").text
    assert "<aside" not in text and "<main>" in text


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_reach_the_contrast_of_wcag_aa(theme: int) -> None:
    style = (Path(page.__file__).parent / "templates" / "style.css.jinja").read_text(encoding="utf-8")
    colours = [dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", block)) for block in re.findall(r":root\{([^}]*--page[^}]*)\}", style)][theme]
    wanted = {"text": 4.5, "muted": 4.5, "accent": 4.5, "warn": 4.5, "line": 3.0}  # text; borders of controls
    for name, least in wanted.items():
        for ground in ("page", "box"):
            dark, light = sorted((luminance(colours[name]), luminance(colours[ground])))
            assert (light + 0.05) / (dark + 0.05) >= least, (name, ground)
