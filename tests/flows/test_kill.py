"""A run that is killed at any moment and started again ends with the same weights and the same decision."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from provetune.hashing import file_sha256
from tests.models import save_folder

WORDS = ("order", "parcel", "invoice", "refund", "screen", "login", "slow", "again", "today", "since", "please", "cannot", "new", "old")
SPEC = """\
version: 1
name: killed
data:
  path: rows.jsonl
  split: {test: 0.3, validation: 0.2}
base: BASE
task: classify
train:
  epochs: 8
  learning_rate: 0.002
  early_stop: {patience: 0}
"""


def write_project(folder: Path, base: Path) -> Path:
    """160 short rows of three labels that a tiny model can learn a little of."""
    folder.mkdir()
    draw = random.Random(5)
    rows = []
    for number in range(160):
        label = ("billing", "delivery", "access")[number % 3]
        words = [*draw.sample(WORDS, 6), {"billing": "invoice", "delivery": "parcel", "access": "login"}[label], str(number)]
        draw.shuffle(words)
        rows.append(json.dumps({"prompt": " ".join(words), "completion": label}))
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "provetune.yaml").write_text(SPEC.replace("BASE", str(base)), encoding="utf-8")
    return folder


def command(project: Path) -> list[str]:
    return [sys.executable, "-m", "provetune", "-C", str(project), "--format", "json", "run"]


def finish(project: Path) -> int:
    done = subprocess.run(command(project), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode in (0, 3, 4), done.stderr
    return done.returncode


def outcome(project: Path) -> dict[str, Any]:
    """Hashes of all tuned weights, the decision, the number of test openings."""
    run = project / "runs" / "latest"
    evidence = json.loads((run / "evidence.json").read_text(encoding="utf-8"))
    return {
        "weights": {str(file.relative_to(run)): file_sha256(file) for file in sorted(run.rglob("*.safetensors"))},
        "decision": evidence["decision"],
        "openings": len((project / "ledger.jsonl").read_text(encoding="utf-8").splitlines()),
    }


@pytest.mark.parametrize("wanted", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_run_killed_at_random_moments_ends_like_one_left_alone(tmp_path: Path, wanted: int) -> None:
    base = save_folder(tmp_path / "base")
    left_alone = write_project(tmp_path / "left_alone", base)
    began = time.monotonic()
    code = finish(left_alone)
    whole = time.monotonic() - began
    began = time.monotonic()
    assert finish(left_alone) == code
    start_up = time.monotonic() - began

    draw, kills, rounds = random.Random(wanted), 0, 0
    while kills < wanted:
        rounds += 1
        project = write_project(tmp_path / f"killed-{rounds}", base)
        while True:
            process = subprocess.Popen(command(project), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(timeout=draw.uniform(0.3 * start_up, start_up + 0.4 * (whole - start_up)))
                break  # through before the kill
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait(timeout=60)
                kills += 1
        assert finish(project) == code
        assert outcome(project) == outcome(left_alone), f"after {kills} kills, in project {rounds}"
        assert rounds <= 10, "hardly any kill came before the end"
    assert outcome(left_alone)["openings"] == 1, "resuming and running again are no openings"
