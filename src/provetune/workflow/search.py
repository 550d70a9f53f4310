"""The search for the values of a training: what is tried for each method, each training in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from provetune.errors import HardwareTooSmall, RunFailed, SpecError
from provetune.hashing import fingerprint
from provetune.planning.calibration import fits
from provetune.planning.memory import training_memory
from provetune.planning.request import PlanRequest
from provetune.planning.search import Job, SearchRequest, default_space, search
from provetune.records.candidate import Method, Plan, TrainingRun
from provetune.records.tuning_search import TrialJob, TuningSearch, TuningTrial, Values
from provetune.store import StepKey, content_sha256, write_atomic
from provetune.workflow import steps
from provetune.workflow.prepare import Prepared
from provetune.workflow.project import Project
from provetune.workflow.subsets import nested_order
from provetune.workflow.tuned import search_seconds

JOB_FILE, RESULT_FILE = "job.json", "training.json"
FAILED = (RunFailed.exit_code, HardwareTooSmall.exit_code)
"""How a process ends whose configuration cannot be trained; any other end is no finding about the configuration."""

Train = Callable[[TrialJob, Path], TrainingRun | str]


def searched(project: Project, prepared: Prepared, plan: Plan, *, allowed: bool) -> tuple[Plan, tuple[TuningSearch, ...]]:
    """The plan with the best values found for each method that will be trained, and the searches; as it was where none is asked for.

    Only validation decides. SpecError where nothing was searched yet and it is not `allowed` to.
    """
    if not project.spec.search.trials:
        return plan, ()
    request = steps.plan_request(project, prepared.train, 0)
    found = tuple(_searched(project, prepared, (plan, request, method), allowed=allowed) for method in plan.chosen if method != "head")
    key = StepKey("plan-searched", 1, {"plan": plan.fingerprint, "searches": fingerprint([one.fingerprint for one in found])})
    return project.store.once(key, Plan, lambda: with_winners(plan, found)), found


def with_winners(plan: Plan, found: Sequence[TuningSearch]) -> Plan:
    """The plan with what the searches found in place of its own values, and the reason beside each."""
    values, why = dict(plan.hyperparameters), dict(plan.why)
    for one in found:
        values[one.method] = one.winner
        tried = len({trial.number for trial in one.trials})
        changed = [key for key, value in one.winner.items() if value != one.start.get(key)]
        why |= {f"{one.method}.{key}": f"search: best of {tried} configurations by {one.metric} on validation" for key in changed}
    return plan.model_copy(update={"hyperparameters": values, "why": why})


def _searched(project: Project, prepared: Prepared, asked: tuple[Plan, PlanRequest, Method], *, allowed: bool) -> TuningSearch:
    plan, planned, method = asked
    spec, start, seed = project.spec.search, plan.hyperparameters[method], project.spec.train.seeds[0]
    space = {str(key): list(values) for key, values in spec.space.items()} or default_space(method, start)
    inputs = {
        "rows": fingerprint([content_sha256(prepared.train), content_sha256(prepared.validation)]),
        "recipe": fingerprint([method, start, space, spec.trials, seed, project.metric, prepared.settings.model_dump(mode="json")]),
        "model": fingerprint(project.model.model_dump(mode="json")),
    }
    folder = project.store.current / "search" / f"{method}-{fingerprint(inputs)}"
    trials = Trials(project, prepared, method, folder)

    def make() -> TuningSearch:
        if not allowed:
            raise SpecError(f"{method}: nothing was searched yet for this spec and data; run `provetune run` first")
        return search(
            SearchRequest(
                method=method,
                metric=project.metric,
                start=start,
                space=space,
                trials=spec.trials,
                rows=len(prepared.train),
                seed=seed,
                obstacle=lambda values: _obstacle(planned, method, values),
                train=trials.train,
                journal=folder / "journal.log",
                max_seconds=search_seconds(project.spec, plan, method),
            )
        )

    return project.store.once(StepKey(f"tuning-search-{method}", 1, inputs), TuningSearch, make)


def _obstacle(planned: PlanRequest, method: Method, values: Values) -> str:
    """Why a configuration does not fit into memory; empty where it does."""
    lora = planned.train.lora.model_copy(update={key: values[key] for key in ("r", "targets") if key in values})
    request = replace(planned, train=planned.train.model_copy(update={"lora": lora}))
    lengths = [length for length in request.row_lengths if length <= int(values["max_length"])]
    memory, p90 = training_memory(request, method, longest=max(lengths), batch_size=int(values["batch_size"]))
    available = request.hardware.memory_gib
    if memory.value is None or fits(memory.value, p90, available) != "does not fit":
        return ""
    return f"needs about {memory.value:.1f} GiB, {available:.1f} GiB are there"


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
