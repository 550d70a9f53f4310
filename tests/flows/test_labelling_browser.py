"""A labelling round under two names, finished in a real browser: by keyboard, by mouse on a narrow screen, without JavaScript."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from provetune.records.labels import Agreement
from tests.browser import SECONDS, running
from tests.flows.conftest import HINTS, call, ticket_rows

ROWS = 12
LABELS = sorted(HINTS)


@dataclass
class Desk:
    """One annotator's command with its address."""

    command: subprocess.Popen[str]
    address: str


@contextmanager
def desk(folder: Path, *arguments: str) -> Iterator[Desk]:
    """`provetune label`, running until the block ends; killed where it does not stop by itself."""
    line = [sys.executable, "-m", "provetune", "--format", "json", "label", "rows.csv", *arguments]
    command = subprocess.Popen(
        line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    try:
        yield Desk(command, address_of(command))
    finally:
        command.kill()
        command.communicate()


def address_of(command: subprocess.Popen[str]) -> str:
    """The address that the command prints when its page answers."""
    assert command.stderr is not None
    said, watch = "", selectors.DefaultSelector()
    watch.register(command.stderr, selectors.EVENT_READ)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if watch.select(timeout=1):
            line = command.stderr.readline()
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+/start\?key=\S+", line):
                return found.group()
            if not line:
                break
    pytest.fail(f"no address came: {said}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ticket_rows(ROWS)
    (tmp_path / "rows.csv").write_text("id,text\n" + "".join(f"t{k},{text}\n" for k, (text, _) in enumerate(rows)), encoding="utf-8")
    (tmp_path / "guide.md").write_text("**billing**: invoices and refunds.\n\n**access**: login and password.\n", encoding="utf-8")
    return tmp_path


def truth(page: Page) -> str:
    """The right label of the row that is shown, by its hint."""
    words = set(page.locator("article .text").inner_text().split())
    return next(label for label, hints in HINTS.items() if words & set(hints))


def shown_row(page: Page) -> str:
    return page.locator("#row-title").inner_text()


def press(page: Page, key: str) -> None:
    """A key that sends something: returns when the next page is there."""
    with page.expect_navigation(timeout=1_000 * SECONDS):
        page.keyboard.press(key)


def click(page: Page, name: str) -> None:
    """A button that sends something, by what it says."""
    with page.expect_navigation(timeout=1_000 * SECONDS):
        page.get_by_role("button", name=name).click()


def label_by_keyboard(page: Page) -> None:
    """Vote with the digit keys until nothing is left."""
    while page.locator("form#vote").count():
        press(page, str(LABELS.index(truth(page)) + 1))


def label_by_mouse(page: Page) -> None:
    while page.locator("form#vote").count():
        click(page, truth(page))


def finish(page: Page, one: Desk) -> Agreement:
    """Press Finish; the command ends by itself with the record of agreement on standard output."""
    page.get_by_role("button", name="Finish").click()
    expect(page.get_by_role("heading", name="Finished")).to_be_visible()
    out, err = one.command.communicate(timeout=SECONDS)
    assert one.command.returncode == 0, err
    return Agreement.from_json(out)


def fits(page: Page) -> bool:
    """Nothing sticks out sideways."""
    width: bool = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    return width


def test_two_annotators_finish_a_round_and_agreement_comes_out(browser: Browser, folder: Path) -> None:
    outside: list[str] = []
    complaints: list[str] = []

    def watched(page: Page, address: str) -> Page:
        host = address.split("/")[2]

        def note(request: Request) -> None:
            if not request.url.startswith((f"http://{host}/", "data:")):
                outside.append(request.url)

        page.on("request", note)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    told = ("--labels", ",".join(LABELS), "--guidelines", "guide.md", "--overlap", "1")
    with desk(folder, "--annotator", "anna", *told) as one, browser.new_context(viewport={"width": 1280, "height": 800}) as visit:
        page = watched(visit.new_page(), one.address)
        expect(page.get_by_text("invoices and refunds")).to_be_visible()
        first, label = shown_row(page), truth(page)
        page.keyboard.press("c")
        page.keyboard.type("1 is not a vote here")  # keys are text while a comment is written
        page.keyboard.press("Escape")
        press(page, str(LABELS.index(label) + 1))
        assert shown_row(page) != first
        press(page, "u")  # undo brings the row back
        assert shown_row(page) == first
        press(page, "s")  # skipped for now
        label_by_keyboard(page)
        expect(page.get_by_text("You skipped 1 row.")).to_be_visible()
        click(page, "Label the skipped rows")
        assert shown_row(page) == first
        label_by_keyboard(page)
        expect(page.get_by_text("Nobody else has voted yet")).to_be_visible()
        alone = finish(page, one)
    assert (alone.voted, alone.shared, alone.level) == (ROWS, 0, "not measured")

    phone = {"width": 390, "height": 844}
    with desk(folder, "--annotator", "ben") as one, browser.new_context(viewport=phone, color_scheme="dark", has_touch=True) as visit:  # type: ignore[arg-type]
        page = watched(visit.new_page(), one.address)
        assert fits(page)
        smallest = min(box["height"] for button in page.get_by_role("button").all() if (box := button.bounding_box()))
        assert smallest >= 44  # pixels, for a thumb
        wrong = shown_row(page)
        click(page, next(label for label in LABELS if label != truth(page)))
        page.reload()  # nothing is lost, nothing is asked twice
        label_by_mouse(page)
        assert fits(page)
        expect(page.get_by_text(f"{ROWS} rows with two votes or more, 1 undecided")).to_be_visible()
        found = finish(page, one)
    assert (found.shared, found.undecided) == (ROWS, 1) and [(a.annotator, a.votes) for a in found.annotators] == [
        ("anna", ROWS),
        ("ben", ROWS),
    ]
    # one row of twelve differs: of 24 ratings two differ, and 9, 8 and 7 fall on the labels
    assert found.pairs[0].equal.value == pytest.approx(11 / 12)
    assert found.alpha is not None and found.alpha.value == pytest.approx(1 - (2 / 24) / ((24**2 - 9**2 - 8**2 - 7**2) / (24 * 23)))
    assert not outside and not complaints

    with desk(folder, "--annotator", "cleo", "--queue", "adjudicate") as one, browser.new_context(java_script_enabled=False) as visit:
        page = visit.new_page()
        page.goto(one.address)
        expect(page.get_by_text("What the others said")).to_be_visible()
        assert shown_row(page) == wrong and page.locator(".opinions li").count() == 2
        click(page, truth(page))
        settled = finish(page, one)
    assert (settled.undecided, settled.alpha) == (0, found.alpha)

    done = call("label", folder / "rows.csv", "--consensus", folder / "labelled.jsonl")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in (folder / "labelled.jsonl").read_text(encoding="utf-8").splitlines()]
    right = {f"t{k}": label for k, (_, label) in enumerate(ticket_rows(ROWS))}
    assert {row["id"]: row["messages"][-1]["content"] for row in rows} == right
    assert sorted(len(row["votes"]) for row in rows) == [2] * (ROWS - 1) + [3]
    assert call("-C", folder / "project", "init", folder / "labelled.jsonl").code == 0


@pytest.mark.slow
def test_many_labels_are_found_by_typing_and_a_stranger_is_kept_out(browser: Browser, folder: Path) -> None:
    labels = [f"topic_{word}_{number}" for number in range(7) for word in ("card", "loan", "fee")]
    with desk(folder, "--annotator", "anna", "--labels", ",".join(labels)) as one, browser.new_context() as visit:
        page = visit.new_page()
        page.goto(one.address)
        page.keyboard.press("/")
        page.keyboard.type("5 loan")
        expect(page.get_by_role("button", name=re.compile("topic_"))).to_have_count(1)
        press(page, "Enter")
        expect(page.get_by_text("topic_loan_5")).to_have_count(2)  # the saved vote, and the label's button
        with browser.new_context() as other:
            stranger = other.new_page()
            for address in (one.address, one.address.split("start?")[0]):
                answer = stranger.goto(address)
                assert answer is not None and answer.status == 403
                expect(stranger.get_by_role("heading", name="Stopped here")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("nothing like it")
        expect(page.get_by_text("No label matches.")).to_be_visible()
