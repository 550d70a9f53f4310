"""A run that is killed or stopped at any moment and started again ends with the same weights and the same decision."""

from __future__ import annotations

import json
import random
import resource
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
prove:
  retention: []
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


def in_training(project: Path, process: subprocess.Popen[Any]) -> bool:
    """Wait until the process trains; False where it ended before."""
    while process.poll() is None:
        file = project / "runs" / "latest" / "events.jsonl"
        if file.is_file() and '"event": "started", "step": "tuning-' in file.read_text(encoding="utf-8"):
            return True
        time.sleep(0.02)
    return False


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
                process.wait(timeout=240)
                kills += 1
        assert finish(project) == code
        assert outcome(project) == outcome(left_alone), f"after {kills} kills, in project {rounds}"
        assert rounds <= 10, "hardly any kill came before the end"
    assert outcome(left_alone)["openings"] == 1, "resuming and running again are no openings"


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished project; its base model lies beside it."""
    place = tmp_path_factory.mktemp("left_alone")
    project = write_project(place / "project", save_folder(place / "base"))
    finish(project)
    return project


@pytest.mark.slow
def test_a_run_that_is_stopped_in_training_saves_and_goes_on(left_alone: Path, tmp_path: Path) -> None:
    project = write_project(tmp_path / "stopped", left_alone.parent / "base")
    with subprocess.Popen(command(project), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert in_training(project, process)
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=240)
    assert process.returncode == 130 and time.monotonic() - began < 30
    assert json.loads(out)["exit_code"] == 130 and "interrupted, state saved; the same command continues" in err
    finish(project)
    assert outcome(project) == outcome(left_alone)


@pytest.mark.slow
def test_a_run_whose_disk_fills_up_says_so_and_goes_on(left_alone: Path, tmp_path: Path) -> None:
    """No file may grow beyond 200 kB: less than a checkpoint of full weights, more than every record before it."""
    project = write_project(tmp_path / "full", left_alone.parent / "base")
    limited = subprocess.run(
        command(project),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY)),
    )
    assert limited.returncode == 8 and "Traceback" not in limited.stderr, limited.stderr
    error = json.loads(limited.stdout)
    assert "File too large" in error["message"] and "the same command continues" in error["message"]
    assert not list(project.rglob("*.partial*")) and not list(project.rglob(".partial*"))
    finish(project)
    assert outcome(project) == outcome(left_alone)


@pytest.mark.slow
def test_a_budget_that_is_used_up_goes_on_to_the_verdict_and_says_so(left_alone: Path, tmp_path: Path) -> None:
    project = write_project(tmp_path / "budget", left_alone.parent / "base")
    limits = ["--set", "budget.max_hours=0.00002", "--set", "train.epochs=60", "--set", "train.method=lora"]
    done = subprocess.run([*command(project), *limits], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode in (0, 3, 4), done.stderr
    said = "budget.max_hours of 2e-05 h is used up"
    assert f"are done and {said}: the best weights so far go on to the verdict" in done.stderr
    (file,) = (project / "runs" / "latest" / "records").glob("tuning-*.json")
    training = json.loads(file.read_text())
    assert training["stopped_because"] == said and 0 < len(training["losses"]) < training["total_steps"]
    assert said in (project / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
