"""Trainings of a search, each alone in its process and kept under what it is made of."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from provetune.errors import HardwareTooSmall, RunFailed
from provetune.hashing import fingerprint
from provetune.planning.search import Job
from provetune.records.candidate import Method, TrainingRun
from provetune.records.tuning_search import TrialJob, TuningTrial
from provetune.store import StepKey, content_sha256, write_atomic
from provetune.workflow.prepare import Prepared
from provetune.workflow.project import Project
from provetune.workflow.subsets import nested_order

JOB_FILE, RESULT_FILE = "job.json", "training.json"
FAILED = (RunFailed.exit_code, HardwareTooSmall.exit_code)
"""How a process ends whose configuration cannot be trained; any other end is no finding about the configuration."""
Train = Callable[[TrialJob, Path], TrainingRun | str]


class Trials:
    """Trains configurations of one method; each is kept under what it is made of, so that none is trained twice."""

    def __init__(self, project: Project, prepared: Prepared, method: Method, folder: Path, run: Train | None = None) -> None:
        self.project, self.prepared, self.method, self.folder = project, prepared, method, folder
        self.run = run or in_process_of_its_own
        self.rows = nested_order(prepared.train, 0)
        self.done = 0

    def job_of(self, job: Job) -> TrialJob:
        """What the process is told."""
        return TrialJob(
            project=str(self.project.folder.resolve()),
            run=self.project.store.current.name,
            method=self.method,
            values=job.values,
            seed=job.seed,
            settings=self.prepared.settings,
            train_ids=tuple(e.id for e in self.rows[: job.rows]),
            validation_ids=tuple(e.id for e in self.prepared.validation),
        )

    def train(self, job: Job) -> TuningTrial:
        """The training of `job` and its best score; one that cannot be trained is `failed`, with the reason."""
        project = self.project
        self.done += 1
        project.progress(f"search, {self.method}: trainings", self.done, max(self.done, project.spec.search.trials))
        rows = self.rows[: job.rows]
        given = self.job_of(job)
        inputs = {"rows": fingerprint([content_sha256(rows), content_sha256(self.prepared.validation)]), "job": _key(project, given)}
        folder = self.folder / fingerprint(inputs)
        reason: list[str] = []

        def make() -> TrainingRun:
            found = self.run(given, folder)
            if isinstance(found, str):
                reason.append(found)
                raise RunFailed(found)
            return found.model_copy(update={"weights_folder": ""})

        try:
            run = project.store.once(StepKey("search-training", 1, inputs), TrainingRun, make)
        except RunFailed:
            if not reason:
                raise
            return TuningTrial(**vars(job), state="failed", note=reason[0])
        shutil.rmtree(folder, ignore_errors=True)
        best = next(point for point in run.validation if point.step == run.best_step)
        return TuningTrial(**vars(job), state="done", score=best.score, loss=best.loss, tokens=run.tokens_seen, seconds=run.duration_s)


def _key(project: Project, job: TrialJob) -> str:
    said = job.model_dump(mode="json", exclude={"project", "run", "train_ids", "validation_ids"})
    return fingerprint([said, project.model.model_dump(mode="json"), project.metric])


def in_process_of_its_own(job: TrialJob, folder: Path) -> TrainingRun | str:
    """Train in a new process, so that all memory is free again after it; the reason where the configuration cannot be trained.

    Raises RunFailed where the process ends in another way. An interruption is passed on; the next call goes on from a checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / JOB_FILE, job.model_dump_json())
    command = [sys.executable, "-m", "provetune.workflow.trial", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True) as child:
        try:
            _, said = child.communicate()
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
            raise
    if child.returncode == 0:
        return TrainingRun.from_json((folder / RESULT_FILE).read_text(encoding="utf-8"))
    last = said.strip().rpartition("\n")[2]
    if child.returncode in FAILED:
        return last
    raise RunFailed(f"a training of the search ended with {child.returncode}: {last}. What is done is kept; the same command continues")
