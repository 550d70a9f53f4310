"""The whole flow, from a file of examples to a decision. Reads top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

from provetune.hashing import canonical_json
from provetune.records.data import AuditReport
from provetune.records.evaluation import Decision
from provetune.store import write_atomic
from provetune.workflow import steps
from provetune.workflow.augment_arm import SUFFIX, augmentation_report, augmented_rows
from provetune.workflow.contender import best_of
from provetune.workflow.opponents import opponents, under_each_prompt
from provetune.workflow.prepare import prepare
from provetune.workflow.project import Project, begin_run, need_torch
from provetune.workflow.prompts import prompt_candidates
from provetune.workflow.prove import Results, prove
from provetune.workflow.retention import Forgetting, retention
from provetune.workflow.tuned import Recipe, keep_weights, trained, tuned_candidate


@dataclass(frozen=True)
class Outcome:
    """What a run leaves: the decision and where to read about it."""

    decision: Decision
    run: Path
    report: Path
    evidence: Path


def audit_project(project: Project, *, label_errors: bool = False) -> AuditReport:
    """The first step alone; `label_errors` asks for the slow search for wrong labels whatever the number of rows."""
    with project.store.locked():
        begin_run(project)
        return steps.audit_project(project, label_errors=label_errors)


def run_project(project: Project, *, train: bool = True) -> Outcome:
    """Audit, split, plan, prompts, tuning, proof. With `train=False` only what is already trained is proven."""
    need_torch()
    with project.store.locked():
        begin_run(project)
        prepared = prepare(project)
        plan = steps.plan_project(project, prepared.split, prepared.train)
        prompts = prompt_candidates(project, prepared.train, prepared.settings)
        rules = steps.gate_rules(project, [*prompts, *([steps.SEARCHED] if project.spec.prompts.search else [])])
        fixed = steps.fixed_before_training(project, prepared.split, rules)
        _lock(project, fixed)
        beside, search = opponents(project, prepared, prompts)

        augmented = augmented_rows(project, prepared.split, prepared.train, prepared.base)
        arms = {"": prepared.train} if augmented is None else {"": prepared.train, SUFFIX: augmented.rows}
        trainings = len(plan.chosen) * len(arms)
        runs, tuned = [], []
        for method, (suffix, rows) in product(plan.chosen, arms.items()):
            recipe = Recipe(f"{method}{suffix}", method, plan, prepared.settings, rows, prepared.validation, trainings)
            training = trained(project, recipe, allowed=train)
            candidate, generator = tuned_candidate(project, training, recipe, prepared.responses)
            runs.append(training)
            tuned.append(best_of(project, prepared, [candidate], generator))
        augmentation = None if augmented is None else augmentation_report(project, augmented, [one.winner for one in tuned])
        best = max(tuned, key=lambda one: steps.score(project, one.winner))
        champion, own_search = under_each_prompt(project, prepared, best, beside)
        keep_weights(project, champion.candidate)
        training = next(run for run in runs if run.weights_sha256 == champion.candidate.weights_sha256)
        suites = project.spec.prove.retention
        asked = Forgetting(suites, prepared.train, prepared.validation)
        kept = retention(project, best.candidate, training, asked) if suites else None

        looked_at = {e.fingerprint: e for one in (*beside, *tuned, champion) for e in one.measured}
        results = Results(
            audit=prepared.review,
            split=prepared.split,
            plan=plan,
            runs=tuple(runs),
            on_validation=tuple(looked_at.values()),
            rules=rules,
            fixed=fixed,
            augmentation=augmentation,
            retention=kept,
            searches=tuple(found for found in (search, own_search) if found is not None),
        )
        decision, report, evidence = prove(project, results, [*beside, champion], champion.candidate)
        return Outcome(decision, project.store.current, report, evidence)


def _lock(project: Project, fixed: dict[str, str]) -> None:
    """Write split.lock: what this run may not change any more. An earlier, different lock is kept beside it."""
    lock, text = project.folder / "split.lock", canonical_json(fixed) + "\n"
    before = lock.read_text(encoding="utf-8").splitlines(keepends=True) if lock.is_file() else []
    if text not in before:
        write_atomic(lock, "".join([*before, text]))
