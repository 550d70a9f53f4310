"""The browser that the flow tests drive: found on this machine, headless, with nothing but the loopback interface in reach.

`python -m tests.browser` prints its path; exit code 1 where there is none.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLICATIONS = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium")
ARGUMENTS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-dev-shm-usage", "--disable-extensions"),
)
SECONDS = 60


def browser_path() -> Path:
    """PROVETUNE_BROWSER, else a Chromium or Chrome of the system, else Playwright's own. FileNotFoundError says how to get one."""
    named = os.environ.get("PROVETUNE_BROWSER", "")
    places = [named] if named else [*filter(None, map(shutil.which, NAMES)), *APPLICATIONS]
    found = next((Path(place) for place in places if os.access(place, os.X_OK)), None)
    if found is None and not named:
        with sync_playwright() as playwright:
            found = Path(playwright.chromium.executable_path)
    if found is None or not found.is_file():
        raise FileNotFoundError(
            f"found no browser at {named or ', '.join(NAMES)}, wanted Chromium or Chrome for the tests of the labelling page; "
            "run `scripts/install_browser.sh`, or name one with PROVETUNE_BROWSER"
        )
    return found


@contextmanager
def running() -> Iterator[Browser]:
    """A headless browser; every wait in it ends after a minute."""
    path = browser_path()
    # Chromium refuses to run its sandbox as root, which containers often are
    sandbox = () if os.geteuid() else ("--no-sandbox",)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *sandbox], timeout=1_000 * SECONDS)
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    try:
        print(browser_path())
    except FileNotFoundError as error:
        sys.exit(str(error))
