"""`provetune demo`: for real where torch is installed, from the recording where it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from provetune.cli import main
from provetune.workflow import demo


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


def test_without_torch_the_demo_shows_a_recording_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "can_train", lambda: False)
    assert main(["demo", "--folder", str(tmp_path / "demo")]) == 0
    shown = capsys.readouterr()
    recorded = json.loads((demo.RECORDED / "evidence.json").read_text(encoding="utf-8"))
    assert "recording" in (shown.out + shown.err)
    assert recorded["made_at"][:10] in (shown.out + shown.err)
