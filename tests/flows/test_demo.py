"""`provetune demo` for real; from the recording, where torch is not installed, in test_cli.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_demo_runs_the_whole_flow_and_ends_with_a_decision(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "provetune", "demo", "--folder", str(tmp_path / "demo")]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=900)
    assert finished.returncode == 0, finished.stderr
    assert any(word in finished.stdout for word in ("SHIP", "HOLD", "NOT ENOUGH EVIDENCE"))
    run = tmp_path / "demo" / "runs" / "latest"
    assert (run / "report.html").is_file()
    decision = json.loads((run / "evidence.json").read_text(encoding="utf-8"))["decision"]
    compared = {verdict["rule"]["baseline"] for verdict in decision["verdicts"]} - {""}
    assert compared == {"zero-shot", "few-shot"}
