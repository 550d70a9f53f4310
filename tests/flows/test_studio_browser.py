"""The studio in a real browser over real runs: a file to its verdict without a shell, nothing lost, nothing from outside."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from provetune.studio.screens import TITLES
from tests.browser import SECONDS, running
from tests.flows.conftest import ticket_rows, write_csv

SHOTS = os.environ.get("PROVETUNE_SCREENSHOTS")
"""A folder for pictures of every screen, to be looked at."""
LONG = 1_000 * 240


@contextmanager
def studio(folder: Path, *options: str) -> Iterator[str]:
    """`provetune studio`, running until the block ends; its address."""
    line = [sys.executable, "-m", "provetune", "-C", str(folder), "studio", "--port", "0", *options]
    server = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"})
    try:
        yield _address(server)
    finally:
        server.kill()
        server.communicate()


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    said, watch = "", selectors.DefaultSelector()
    watch.register(server.stderr, selectors.EVENT_READ)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if watch.select(timeout=1):
            line = server.stderr.readline()
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                return found.group()
            if not line:
                break
    pytest.fail(f"no address came: {said}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=1_000 * SECONDS)
    with running() as found:
        yield found
    expect.set_options(timeout=5_000)


class Watched:
    """A page whose every request and complaint is noted."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(1_000 * SECONDS)

        def note(request: Request) -> None:
            if not request.url.startswith((f"{address}/", "data:")):
                self.outside.append(request.url)

        self.page.on("request", note)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def clean(self) -> None:
        assert not self.outside and not self.complaints, (self.outside, self.complaints)


def fits(page: Page) -> bool:
    """Nothing sticks out sideways."""
    width: bool = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    return width


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def press_to(page: Page, name: str) -> None:
    """Tab to the button or link of this name and press Enter: the way of a keyboard."""
    for _ in range(80):
        page.keyboard.press("Tab")
        said = page.evaluate("(document.activeElement.innerText || document.activeElement.value || '').trim()")
        if said.startswith(name):
            page.keyboard.press("Enter")
            return
    pytest.fail(f"{name!r} cannot be reached by the Tab key")


@pytest.mark.slow
def test_a_file_to_its_verdict_without_a_shell(browser: Browser, tmp_path: Path, base_folder: Path) -> None:
    file = write_csv(tmp_path / "tickets.csv", ticket_rows(120))
    place = tmp_path / "studio"
    place.mkdir()
    with browser.new_context(viewport={"width": 1280, "height": 900}) as visit:
        with studio(place) as address:
            one = Watched(visit, address)
            page = one.page
            started = time.monotonic()
            page.goto(address)
            expect(page.get_by_role("heading", name="New from a file")).to_be_visible()
            assert time.monotonic() - started < 15  # seconds; 1.5 on a machine that does nothing else
            shoot(page, "01-home-empty")
            page.get_by_label("File of examples").set_input_files(file)
            press_to(page, "New project from this file")
            page.get_by_label("Base model").fill(str(base_folder))
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="Rows as the model is trained on them")).to_be_visible()
            shoot(page, "02-data")
            press_to(page, "Change the project file")
            text = page.get_by_label("provetune.yaml", exact=True)
            expect(text).to_be_visible()
            written = text.input_value()
            text.fill(
                written.replace("margin: 0.02", "retention: []\n  margin: 0.02") + "\ntrain: {method: lora, epochs: 3, batch_size: 4}\n"
            )
            page.get_by_role("button", name="Check and save").click()
            press_to(page, "Review the data")
            page.get_by_role("link", name="See what came of it").click(timeout=LONG)
            expect(page.get_by_role("heading", name="Five things")).to_be_visible()
            shoot(page, "03-audit")
            press_to(page, "Train and prove")
            expect(page.get_by_role("button", name="Cancel")).to_be_visible()
            second = Watched(visit, address)  # a second tab sees the same
            second.page.goto(f"{address}/p/tickets/train")
            expect(second.page.get_by_text("provetune run").first).to_be_visible()
            expect(page.get_by_role("heading", name="Training lora")).to_be_visible(timeout=LONG)
            shoot(page, "04-train")
            one.clean()
            second.clean()
        # the server is gone, in the middle of a training; the run goes on
        with studio(place) as address:
            again = Watched(visit, address)
            again.page.goto(f"{address}/p/tickets/train")
            again.page.get_by_role("link", name="See the verdict").click(timeout=LONG)
            expect(again.page.locator(".word")).to_have_text(re.compile("SHIP|HOLD|NOT ENOUGH EVIDENCE"))
            every_screen(visit, again, address)
            again.clean()
            read_without_javascript(browser, address)
            on_a_phone(browser, address)


def every_screen(visit: BrowserContext, one: Watched, address: str) -> None:
    for name in TITLES:
        one.page.goto(f"{address}/p/tickets/{name}")
        expect(one.page.locator("[aria-current=page]")).to_have_count(1)
        size = len(one.page.content().encode())
        assert size < 200_000, (name, size)
        shoot(one.page, f"10-{name}")
    for path in ("", "doctor"):
        one.page.goto(f"{address}/{path}")
        shoot(one.page, f"20-{path or 'home'}")


def read_without_javascript(browser: Browser, address: str) -> None:
    with browser.new_context(java_script_enabled=False, color_scheme="dark") as visit:
        page = visit.new_page()
        for name, wanted in [("verdict", "Rules, fixed before training"), ("audit", "Five things"), ("train", "What happened")]:
            page.goto(f"{address}/p/tickets/{name}")
            expect(page.get_by_role("heading", name=wanted)).to_be_visible()
            shoot(page, f"30-dark-{name}")
        page.goto(f"{address}/p/tickets/verdict")
        page.get_by_role("link", name="Report").click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()


def on_a_phone(browser: Browser, address: str) -> None:
    with browser.new_context(viewport={"width": 320, "height": 640}) as visit:
        page = visit.new_page()
        for path in ["", "doctor", *(f"p/tickets/{name}" for name in TITLES)]:
            page.goto(f"{address}/{path}")
            assert fits(page), path
            shoot(page, f"40-phone-{path.rpartition('/')[2] or 'home'}")


@pytest.mark.slow
def test_stop_and_keep_best_goes_on_to_the_verdict(browser: Browser, tmp_path: Path, base_folder: Path) -> None:
    from tests.flows.conftest import write_project

    place = tmp_path / "studio"
    place.mkdir()
    write_project(place / "tickets", base_folder, more="prove: {retention: []}\n")
    file = place / "tickets" / "provetune.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("epochs: 1, batch_size: 16", "epochs: 400, batch_size: 4"), encoding="utf-8")
    with studio(place) as address, browser.new_context() as visit:
        page = Watched(visit, address).page
        page.goto(f"{address}/p/tickets/train")
        page.get_by_role("button", name="Train and prove").click()
        expect(page.get_by_role("heading", name="Training lora")).to_be_visible(timeout=LONG)
        page.get_by_role("button", name="Stop training and keep the best").click()
        page.get_by_role("link", name="See the verdict").click(timeout=LONG)
        page.goto(f"{address}/p/tickets/train")
        expect(page.get_by_text("somebody asked for it")).to_be_visible()
