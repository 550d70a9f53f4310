"""The probe: the batches it takes, what it measures in a process of its own, what becomes of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from provetune.chat import TokenRow
from provetune.engine.packing import plan_epoch
from provetune.errors import HardwareTooSmall, RunFailed
from provetune.workflow.probe import STEPS, batches_of, in_the_order_of, probed_plan
from provetune.workflow.project import Project, open_project
from tests.flows.conftest import base_folder, write_project  # noqa: F401

VALUES: dict[str, float | int | str] = {"batch_size": 4, "epochs": 2}


def rows_of_lengths(*lengths: int) -> list[TokenRow]:
    """Rows that begin differently, so that nothing is shared."""
    return [TokenRow(np.arange(100 * k, 100 * k + n), np.arange(n) == n - 1) for k, n in enumerate(lengths)]


def test_the_largest_pack_of_all_epochs_is_among_the_batches() -> None:
    rows = rows_of_lengths(*[10] * 38, 700, 720)
    batches = batches_of(rows, VALUES, seed=3)
    assert len(batches) == STEPS and all(len(batch.numbers) == 4 for batch in batches)
    planned = [step for epoch in range(2) for step in plan_epoch(40, 4, 3, epoch)]
    assert all(list(batch.numbers) in planned for batch in batches)
    together = [step for step in planned if 38 in step and 39 in step]
    most = max(sum(len(rows[number]) for number in step) for step in planned)
    assert max(batches[1].packs) >= 720 and (not together or batches[1].tokens == most)
    assert {batch.tokens for batch in batches if batch is not batches[1]} <= {40, 730, 750}


def test_a_training_takes_the_batches_as_they_are() -> None:
    batches = batches_of(rows_of_lengths(*range(5, 45)), VALUES, seed=7)
    order = in_the_order_of(batches, seed=7)
    taken = [[order[place] for place in step] for step in plan_epoch(len(order), 4, 7, 0)]
    assert taken == [list(batch.numbers) for batch in batches]


def test_fewer_rows_than_a_step_are_one_batch_again_and_again() -> None:
    batches = batches_of(rows_of_lengths(5, 6, 7), {"batch_size": 16, "epochs": 1}, seed=1)
    assert len(batches) == STEPS and {batch.tokens for batch in batches} == {18}


@pytest.fixture
def project(tmp_path: Path, base_folder: Path) -> Project:  # noqa: F811
    return open_project(write_project(tmp_path / "project", base_folder, rows=90), [], lambda *_: None)


@pytest.mark.slow
def test_a_probe_is_measured_once_and_corrects_this_plan_and_the_next(project: Project) -> None:
    plan, (probe,) = probed_plan(project)
    assert probe.method == "lora" and len(probe.steps) == STEPS and len(probe.timed) == STEPS - 2
    assert probe.peak_gib > probe.idle_gib > 0.05 and probe.anonymous_peak_gib is not None
    assert all(step.seconds is not None and 0 < step.seconds < probe.wall_seconds for step in probe.timed)
    option = next(one for one in plan.options if one.method == "lora")
    assert option.memory_gib.value == probe.peak_gib and "a probe of 5" in plan.why["lora.measured"]
    again, (same,) = probed_plan(open_project(project.folder, [], lambda *_: None))
    assert same == probe and again.options == plan.options
    later = open_project(project.folder, ["prove.margin=0.03"], lambda *_: None)
    assert "a probe of 5" in probed_plan(later)[0].why["lora.measured"]
    assert not list(project.folder.glob("runs/*/probe/*")), "nothing is left of its weights"


@pytest.mark.parametrize(("ending", "error"), [("kill -9 $$", HardwareTooSmall), ("exit 6", HardwareTooSmall), ("exit 3", RunFailed)])
def test_a_probe_that_dies_says_why(project: Project, monkeypatch: pytest.MonkeyPatch, ending: str, error: type[Exception]) -> None:
    python = project.folder / "python"
    python.write_text(f"#!/bin/sh\necho 'no room left' >&2\n{ending}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(error, match="memory" if "kill" in ending else "no room left"):
        probed_plan(project)
    assert json.loads(next(project.folder.glob("runs/*/probe/*/job.json")).read_text())["method"] == "lora"
