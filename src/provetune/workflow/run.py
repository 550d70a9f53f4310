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
from provetune.workflow.opponents import opponents
from provetune.workflow.prepare import prepare
from provetune.workflow.project import Project, begin_run, need_torch
from provetune.workflow.prove import Results, prove
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
        prompts = steps.prompt_candidates(project, prepared.train, prepared.settings)
        rules = steps.gate_rules(project, list(prompts))
        fixed = steps.fixed_before_training(project, prepared.split, rules)
        _lock(project, fixed)
        beside = opponents(project, prepared, prompts)

        augmented = augmented_rows(project, prepared.split, prepared.train, prepared.base)
        arms = {"": prepared.train} if augmented is None else {"": prepared.train, SUFFIX: augmented.rows}
        trainings = len(plan.chosen) * len(arms)
        runs, tuned = [], []
        for method, (suffix, rows) in product(plan.chosen, arms.items()):
            recipe = Recipe(f"{method}{suffix}", method, plan, prepared.settings, rows, prepared.validation, trainings)
            training = trained(project, recipe, allowed=train)
            candidate, generator = tuned_candidate(project, training, recipe, prepared.responses)
            measured = steps.evaluate(project, candidate, generator, prepared.validation, "validation")
            runs.append(training)
            tuned.append((measured, candidate, generator))
        measured_arms = [evaluation for evaluation, _, _ in tuned]
        augmentation = None if augmented is None else augmentation_report(project, augmented, measured_arms)
        _, champion, generator = max(tuned, key=lambda found: steps.score(project, found[0]))
        keep_weights(project, champion)

        looked_at = (*(evaluation for opponent in beside for evaluation in opponent.measured), *measured_arms)
        results = Results(prepared.review, prepared.split, plan, tuple(runs), looked_at, rules, fixed, augmentation)
        chosen = [*((opponent.candidate, opponent.generator) for opponent in beside), (champion, generator)]
        decision, report, evidence = prove(project, results, chosen, champion)
        return Outcome(decision, project.store.current, report, evidence)


def _lock(project: Project, fixed: dict[str, str]) -> None:
    """Write split.lock: what this run may not change any more. An earlier, different lock is kept beside it."""
    lock, text = project.folder / "split.lock", canonical_json(fixed) + "\n"
    before = lock.read_text(encoding="utf-8").splitlines(keepends=True) if lock.is_file() else []
    if text not in before:
        write_atomic(lock, "".join([*before, text]))
