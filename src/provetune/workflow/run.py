"""The whole flow, from a file of examples to a decision. Reads top to bottom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from provetune.augment import Augmented
from provetune.errors import SpecError
from provetune.records.candidate import Plan
from provetune.records.data import AuditReport
from provetune.records.evaluation import Decision
from provetune.workflow import steps
from provetune.workflow.augment_arm import SUFFIX, augmentation_report, augmented_rows
from provetune.workflow.contender import best_of
from provetune.workflow.fairness import fairness_rules
from provetune.workflow.folds import propose_folds, prove_recipe
from provetune.workflow.forgetting import remedied
from provetune.workflow.licence import ask_for_decision
from provetune.workflow.opponents import opponents, under_each_prompt
from provetune.workflow.prepare import Prepared, prepare
from provetune.workflow.prevention import prevented
from provetune.workflow.project import Project, begin_run, lock_split, need_torch
from provetune.workflow.prompts import foresee_prompts, prompt_candidates
from provetune.workflow.proof import Results
from provetune.workflow.prove import prove
from provetune.workflow.retention import Forgetting, retention
from provetune.workflow.rules import fixed_before_training, gate_rules
from provetune.workflow.search import searched
from provetune.workflow.seeds import seed_name
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
        begin_run(project, leads=False)
        report = steps.audit_project(project, label_errors=label_errors)
        if not report.blockers and report.count <= steps.LABEL_ERRORS_UP_TO:
            foresee_prompts(project)
        return report


def run_project(project: Project, *, train: bool = True, final: bool = False) -> Outcome:
    """Audit, split, plan, prompts, tuning, proof. With `train=False` only what is already trained is proven.

    With `prove.folds` the recipe is proven; `final` then also trains on all rows. SpecError on `final` without folds.
    """
    need_torch()
    if final and not project.spec.prove.folds:
        raise SpecError("--final trains on all rows, which leaves none for a proof of the weights; it is for prove.folds")
    with project.store.locked():
        begin_run(project)
        ask_for_decision(project)
        if project.spec.prove.folds:
            proof = prove_recipe(project, train=train, final=final)
            return Outcome(proof[0], project.store.current, proof[1], proof[2])
        prepared = prepare(project)
        propose_folds(project, prepared.split)
        plan = steps.plan_project(project, prepared.split, prepared.train)
        prompts = prompt_candidates(project, prepared.train, prepared.settings)
        rules = gate_rules(project, list(prompts))
        rules = (*rules, *fairness_rules(project, prepared.split, prompts))
        fixed = fixed_before_training(project, prepared.split, rules)
        lock_split(project, fixed)
        plan, tuning_searches = searched(project, prepared, plan, allowed=train)
        augmented = augmented_rows(project, prepared.split, prepared.train, prepared.base)
        recipes = _recipes(project, prepared, plan, augmented)
        if not train:  # what is missing is told before any prompt is measured
            for recipe in recipes:
                trained(project, recipe, allowed=False)
        beside, search = opponents(project, prepared, prompts)
        runs, tuned, seeds = [], [], project.spec.train.seeds
        for recipe in recipes:
            training = trained(project, recipe, allowed=train)
            candidate, generator = tuned_candidate(project, training, recipe, prepared.responses)
            runs.append(training)
            tuned.append(best_of(project, prepared, [candidate], generator))
        augmentation = None if augmented is None else augmentation_report(project, augmented, [one.winner for one in tuned])
        place = max(range(len(tuned)), key=lambda place: steps.score(project, tuned[place].winner))
        alike = place - place % len(seeds)
        taken = remedied(project, prepared, (tuned[place], recipes[place]), beside, allowed=train)
        runs += taken.runs
        champion, own_search = under_each_prompt(project, prepared, taken.contender, beside)
        keep_weights(project, champion.candidate)
        suites = project.spec.prove.retention
        asked = Forgetting(suites, prepared.train, prepared.validation, selected=taken.report is not None)
        kept = retention(project, taken.contender.candidate, taken.training, asked) if suites else None

        looked_at = {e.fingerprint: e for one in (*beside, *tuned, taken.contender, champion) for e in one.measured}
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
            forgetting=taken.report,
            searches=tuple(found for found in (search, own_search) if found is not None),
            tuning_searches=tuning_searches,
            over_seeds=tuple(tuned[alike : alike + len(seeds)]),
        )
        decision, report, evidence = prove(project, results, [*beside, champion], champion.candidate)
        return Outcome(decision, project.store.current, report, evidence)


def _recipes(project: Project, prepared: Prepared, plan: Plan, augmented: Augmented | None) -> list[Recipe]:
    """Every method of the plan, on the rows and on the augmented ones, under every seed."""
    arms = {"": prepared.train} if augmented is None else {"": prepared.train, SUFFIX: augmented.rows}
    seeds, found = project.spec.train.seeds, []
    for method, (suffix, rows), seed in product(plan.chosen, arms.items(), seeds):
        trainings = len(plan.chosen) * len(arms) * len(seeds)
        name = seed_name(method, seed, seeds[0]) + suffix
        plain = Recipe(name, method, plan, prepared.settings, rows, prepared.validation, trainings)
        found.append(replace(prevented(project, prepared, plain), seed=seed))
    return found
