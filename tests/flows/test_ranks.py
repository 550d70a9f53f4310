"""`train.devices: 2` through the command line: the ranks that torchrun starts, one of them killed, and what is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from provetune.records.candidate import TrainingRun
from provetune.store import records_in
from tests.flows.test_kill import command, finish, in_training, outcome, write_project
from tests.models import save_folder


def two_devices(folder: Path, base: Path) -> Path:
    project = write_project(folder, base)
    file = project / "provetune.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("train:\n", "train:\n  method: lora\n  devices: 2\n"), encoding="utf-8")
    return project


def ranks_of(parent: int) -> list[psutil.Process]:
    """The processes below `parent` that are ranks: torchrun's children."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "provetune.workflow.rank" in words and "torch.distributed.run" not in words:
            found.append(process)
    return found


def training_of(project: Path) -> TrainingRun:
    (found,) = records_in(project / "runs" / "latest", TrainingRun)
    return found


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose training two ranks did, never disturbed."""
    place = tmp_path_factory.mktemp("ranks")
    project = two_devices(place / "project", save_folder(place / "base"))
    finish(project)
    return project


@pytest.mark.slow
def test_two_ranks_train_what_is_asked_for(left_alone: Path) -> None:
    found = training_of(left_alone)
    assert (found.measured_choices["ranks"], found.measured_choices["sharing"]) == (2, "data parallel, gloo")
    assert len(found.losses) == found.total_steps and not list((left_alone / "runs" / "latest" / "checkpoints").glob("*/step-*"))
    events = (left_alone / "runs" / "latest" / "events.jsonl").read_text(encoding="utf-8")
    assert events.count('"event": "validated"') == len(found.validation), "the first rank alone tells"


@pytest.mark.slow
def test_a_killed_rank_is_started_again_and_the_end_is_the_same(left_alone: Path, tmp_path: Path) -> None:
    project = two_devices(tmp_path / "killed", left_alone.parent / "base")
    with subprocess.Popen(command(project), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert in_training(project, process)
        checkpoints = project / "runs" / "latest" / "checkpoints"
        while process.poll() is None and not list(checkpoints.glob("*/step-*")):
            time.sleep(0.02)
        victims = ranks_of(process.pid)
        assert len(victims) == 2, "both ranks are at work"
        os.kill(victims[-1].pid, signal.SIGKILL)
        process.communicate(timeout=600)
    assert process.returncode in (0, 3, 4)
    assert training_of(project).resumed == 1
    assert outcome(project) == outcome(left_alone)


@pytest.mark.slow
def test_another_number_of_devices_is_the_same_run(left_alone: Path) -> None:
    runs: list[Any] = sorted((left_alone / "runs").iterdir())
    done = subprocess.run([*command(left_alone), "--set", "train.devices=1"], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode in (0, 3, 4), done.stderr
    assert sorted((left_alone / "runs").iterdir()) == runs and training_of(left_alone).measured_choices["ranks"] == 2


@pytest.mark.slow
def test_what_is_refused_is_not_tried_again(left_alone: Path, tmp_path: Path) -> None:
    project = two_devices(tmp_path / "refused", left_alone.parent / "base")
    settings = ["--set", "train.lora.targets=nothing_like_it"]
    began = time.monotonic()
    done = subprocess.run([*command(project), *settings], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode not in (0, 1, 3, 4) and "nothing_like_it" in done.stdout + done.stderr, (done.returncode, done.stderr)
    assert time.monotonic() - began < 300
    environment = {**os.environ, "WORLD_SIZE": "2", "RANK": "0"}
    done = subprocess.run(command(project), capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.returncode == 2 and "start `provetune run` alone" in done.stderr
