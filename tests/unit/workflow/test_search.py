"""The search of a project: what is trained where, what is kept, what fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provetune.errors import RunFailed, SpecError
from provetune.planning.search import Job
from provetune.records.candidate import Plan, TrainingRun
from provetune.records.tuning_search import TrialJob
from provetune.workflow import search as searching
from provetune.workflow import steps, trials
from provetune.workflow.prepare import Prepared, prepare
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.search import searched
from provetune.workflow.trial import run_job
from provetune.workflow.trials import RESULT_FILE, Trials, in_process_of_its_own
from tests.flows.conftest import base_folder, write_project  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
SEARCH = "search: {trials: 4, space: {learning_rate: [1.0e-4, 1.0e-2], lora.r: [2, 4]}}\n"


@pytest.fixture
def project(tmp_path: Path, base_folder: Path) -> Project:  # noqa: F811
    folder = write_project(tmp_path / "project", base_folder, rows=90, more=SEARCH)
    opened = open_project(folder, [], lambda *_: None)
    begin_run(opened)
    return opened


@pytest.fixture
def planned(project: Project) -> tuple[Prepared, Plan]:
    prepared = prepare(project)
    return prepared, steps.plan_project(project, prepared.split, prepared.train)


def test_the_plan_takes_what_won_on_validation_and_says_so(
    project: Project, planned: tuple[Prepared, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, plan = planned
    with pytest.raises(SpecError, match="nothing was searched yet"):
        searched(project, prepared, plan, allowed=False)
    jobs: list[TrialJob] = []

    def here(job: TrialJob, folder: Path) -> TrainingRun:
        jobs.append(job)
        return run_job(project, job, folder)

    monkeypatch.setattr(trials, "in_process_of_its_own", here)
    found, (record,) = searched(project, prepared, plan, allowed=True)
    # below 500 rows: four configurations, the two best with two more seeds each
    assert len(record.trials) == 8 and len(jobs) <= 8 and record.rung_rows == (len(prepared.train),)
    assert found.hyperparameters["lora"] == record.winner and record.winner["alpha"] == 2 * int(record.winner["r"])
    assert all(trial.state == "done" and trial.tokens > 0 for trial in record.trials) and record.spread is not None
    assert {job.validation_ids for job in jobs} == {tuple(e.id for e in prepared.validation)}
    assert not set(jobs[0].train_ids) & {*prepared.split.test_ids, *prepared.split.validation_ids}
    changed = [key for key in record.winner if record.winner[key] != record.start[key]]
    assert all(found.why[f"lora.{key}"] == "search: best of 4 configurations by accuracy on validation" for key in changed)
    again, records = searched(project, prepared, plan, allowed=False)
    assert (again, records) == (found, (record,)) and not list((project.store.current / "search").glob("*/*/"))


@pytest.mark.slow
def test_a_training_in_a_process_of_its_own_gives_what_one_here_gives(
    project: Project, planned: tuple[Prepared, Plan], tmp_path: Path
) -> None:
    prepared, plan = planned
    trials = Trials(project, prepared, "lora", tmp_path / "trials")
    job = trials.job_of(Job(0, 0, len(prepared.train), 1, plan.hyperparameters["lora"]))
    apart = in_process_of_its_own(job, tmp_path / "apart")
    assert isinstance(apart, TrainingRun)
    here = run_job(project, job, tmp_path / "here")
    assert [p.loss for p in apart.losses] == pytest.approx([p.loss for p in here.losses], rel=1e-5) and apart.best_step == here.best_step
    assert {item.name for item in (tmp_path / "apart").iterdir()} == {"job.json", RESULT_FILE, "checkpoints"}
    broken = job.model_copy(update={"train_ids": ("no such row",)})
    with pytest.raises(RunFailed, match=r"ended with 1: KeyError: 'no such row'. What is done is kept"):
        in_process_of_its_own(broken, tmp_path / "broken")


def test_a_configuration_that_diverges_is_a_finding(project: Project, planned: tuple[Prepared, Plan], tmp_path: Path) -> None:
    prepared, plan = planned
    job = Job(0, 0, len(prepared.train), 1, plan.hyperparameters["lora"])
    failing = Trials(project, prepared, "lora", tmp_path / "trials", run=lambda job, folder: "step 3: the loss overflows")
    found = failing.train(job)
    assert (found.state, found.score, found.note) == ("failed", None, "step 3: the loss overflows")


def test_what_does_not_fit_into_memory_is_not_trained(project: Project, planned: tuple[Prepared, Plan]) -> None:
    prepared, plan = planned
    request = steps.plan_request(project, prepared.train, 0)
    assert searching._obstacle(request, "lora", plan.hyperparameters["lora"]) == ""
    huge = {**plan.hyperparameters["lora"], "r": 10_000_000}
    assert searching._obstacle(request, "lora", huge).startswith("needs about")


@pytest.mark.slow
def test_an_interruption_ends_the_training_too(project: Project, planned: tuple[Prepared, Plan], tmp_path: Path) -> None:
    prepared, plan = planned
    values = {**plan.hyperparameters["lora"], "epochs": 5000}
    job = Trials(project, prepared, "lora", tmp_path).job_of(Job(0, 0, len(prepared.train), 1, values))
    folder = tmp_path / "long"
    script = (
        "import sys; from pathlib import Path; from provetune.records.tuning_search import TrialJob;"
        "from provetune.workflow.trials import in_process_of_its_own as run;"
        "run(TrialJob.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, job.model_dump_json(), str(folder)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (folder / "checkpoints").is_dir() and time.monotonic() < until:
        time.sleep(0.1)
    children = [int(pid) for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
    os.kill(parent.pid, signal.SIGINT)
    assert parent.wait(60) != 0 and len(children) == 1
    state = Path(f"/proc/{children[0]}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
    assert json.loads((folder / "job.json").read_text())["values"]["epochs"] == 5000
