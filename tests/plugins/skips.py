"""A skipped test proves nothing: where the public data are present, any skip fails the run.

Under pytest-xdist the controller hears of every skipped test by itself; of a file that is skipped whole each worker tells it at its end.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "PROVETUNE_TEST_DATA"
TOLD = "provetune-skips"


class SkipWatch:
    """Collects every skip of a run with its reason."""

    def __init__(self) -> None:
        self.skips: list[str] = []
        self.forbidden = bool(os.environ.get(VARIABLE)) and Path(os.environ[VARIABLE]).is_dir()

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):  # pytest marks an expected failure as skipped, with this attribute
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.skips.append(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.note(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        self.skips += [skip for skip in getattr(node, "workeroutput", {}).get(TOLD, []) if skip not in self.skips]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if (told := getattr(session.config, "workeroutput", None)) is not None:
            told[TOLD] = self.skips
        if self.skips and self.forbidden and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skips and self.forbidden:
            terminalreporter.section(f"{len(self.skips)} skipped although {VARIABLE} is present: the run fails", red=True)
            for skip in self.skips:
                terminalreporter.write_line(skip)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipWatch(), "provetune-skip-watch")
