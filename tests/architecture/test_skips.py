"""The plugin that turns a skip into a failure where the public data are present."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

SUITE = (
    "import pytest\n\ndef test_a() -> None:\n    pytest.skip('no such file')\n\n@pytest.mark.xfail\ndef test_b() -> None:\n    assert 0\n"
)


WHOLE = "import pytest\n\npytest.skip('not here', allow_module_level=True)\n"


def run(folder: Path, variables: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_one.py").write_text(SUITE)
    kept = {name: value for name, value in os.environ.items() if name != "PROVETUNE_TEST_DATA"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.plugins.skips",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        *options,
        str(folder),
    ]
    return subprocess.run(command, cwd=ROOT, env={**kept, **variables}, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("variables", [{}, {"PROVETUNE_TEST_DATA": ""}, {"PROVETUNE_TEST_DATA": "no/such/folder"}])
def test_a_skip_passes_without_the_data(tmp_path: Path, variables: dict[str, str]) -> None:
    done = run(tmp_path, variables)
    assert done.returncode == 0, done.stdout
    assert "1 skipped, 1 xfailed" in done.stdout


def test_a_skip_fails_with_the_data(tmp_path: Path) -> None:
    done = run(tmp_path, {"PROVETUNE_TEST_DATA": str(tmp_path)})
    assert done.returncode == 1, done.stdout
    assert "test_one.py::test_a: no such file" in done.stdout
    assert "1 skipped, 1 xfailed" in done.stdout.splitlines()[-1]


def test_skips_in_other_processes_are_heard_of(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text(WHOLE)
    done = run(tmp_path, {"PROVETUNE_TEST_DATA": str(tmp_path)}, "-n", "1", "--dist", "loadfile")
    assert done.returncode == 1, done.stdout
    assert "test_one.py::test_a: no such file" in done.stdout and "test_two.py: not here" in done.stdout
    assert "2 skipped although PROVETUNE_TEST_DATA is present" in done.stdout
