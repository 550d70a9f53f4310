"""Few rows: every fold is tuned on the others and scored once, and the verdict is on the recipe, not on one set of weights."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from provetune.errors import Notice, SpecError
from provetune.evaluation import confidence_at
from provetune.gate import Measured
from provetune.metrics import METRICS
from provetune.models.lazy import LazyGenerator
from provetune.models.responses import CachedGenerator, ResponseCache
from provetune.protocols import Generator
from provetune.records.candidate import Method, Plan, TrainingRun
from provetune.records.data import AuditReport, Example, Split
from provetune.records.evaluation import Decision, Evaluation, Evidence, GateRule
from provetune.records.folds import FoldReport
from provetune.similarity import tied_together
from provetune.split import folds, split
from provetune.workflow import steps
from provetune.workflow.contender import Contender, best_of
from provetune.workflow.folded import all_as_test, merged, one_name
from provetune.workflow.licence import base_licence
from provetune.workflow.opponents import opponents, under_each_prompt
from provetune.workflow.prepare import Prepared
from provetune.workflow.prevention import prevented
from provetune.workflow.project import Project, lock_split
from provetune.workflow.prompts import generation_settings, prompt_candidates, with_shots
from provetune.workflow.proof import Results, evidence_of, write_proof
from provetune.workflow.recipe import RECIPE, decide_recipe, measured_over_folds, outlook, summarised
from provetune.workflow.roi import returns
from provetune.workflow.rules import fixed_before_training, gate_rules, opening_of
from provetune.workflow.stored_votes import stored_votes
from provetune.workflow.tuned import Recipe, identity, load_generator, trained, tuned_candidate

FINAL = "unproven"
"""Begins the name of the folder with weights that were trained on all rows."""


@dataclass(frozen=True)
class Ground:
    """What all folds share: the reviewed rows, each in its fold, and the base model."""

    project: Project
    review: AuditReport
    whole: Split
    rows: Sequence[Example]
    fold_of: dict[str, int]
    responses: ResponseCache
    base: Generator

    def prepared(self, number: int) -> Prepared:
        """All but this fold, cut into train and validation; a fold that is none holds nothing out. Groups stay whole."""
        spec = self.project.spec.data.split
        out = {row.group for row in self.rows if self.fold_of.get(row.id) == number}
        rest = [row for row in self.rows if row.group not in out]
        numbers = {name: place for place, name in enumerate(sorted({str(row.group) for row in rest}))}
        parts = split(rest, spec, groups=[numbers[str(row.group)] for row in rest], test_examples=[], leaked={})
        return Prepared(
            review=self.review,
            split=self.whole,
            train=parts.train,
            validation=tied_together(parts.validation),
            settings=generation_settings(self.project, parts.train),
            responses=self.responses,
            base=with_shots(self.project, parts.train, self.base),
        )


@dataclass(frozen=True)
class Fold:
    """One fold: the rows that are held out, who takes part, and how the tuned one came about."""

    held: Sequence[Example]
    beside: Sequence[Contender]
    champion: Contender
    runs: Sequence[TrainingRun]


def prove_recipe(project: Project, *, train: bool, final: bool) -> tuple[Decision, Path, Path]:
    """Decision, report and evidence on the recipe; with `final` also weights trained on all rows, which nothing proves by itself.

    SpecError on settings that speak of one set of weights. A killed call goes on where it was.
    """
    _refuse(project)
    base_licence(project)
    review = steps.audit_project(project)
    steps.refuse_blocked(review)
    rows = tied_together(project.examples)
    scored = [row for row in rows if not row.synthetic]
    fold_of = folds(scored, project.spec.prove.folds, project.spec.data.split.seed)
    responses = ResponseCache(project.folder / ".provetune" / "responses.sqlite")
    base = CachedGenerator(LazyGenerator(lambda: load_generator(project, None, None)), responses, identity(project))
    ground = Ground(project, review, all_as_test(project, scored), rows, fold_of, responses, base)
    first = ground.prepared(0)
    plan = steps.plan_project(project, ground.whole, first.train)
    rules = _rules(project, first)
    fixed = {**fixed_before_training(project, ground.whole, rules), "folds": str(project.spec.prove.folds)}
    lock_split(project, fixed)
    made = [_fold(ground, plan, number, allowed=train) for number in range(project.spec.prove.folds)]
    results = Results(review, ground.whole, plan, tuple(run for one in made for run in one.runs), (), rules, fixed)
    method = Counter(run.method for run in results.runs).most_common(1)[0][0]
    proof = _proof(project, results, made, fold_of)
    if final:
        _final(ground, plan, method)
    return proof


def propose_folds(project: Project, parts: Split) -> None:
    """Say so where the test split could prove no gain of any size that a tuning may bring."""
    if parts.smallest_provable_gain is None and METRICS[project.metric].kind != "corpus" and not parts.test_given:
        warnings.warn(
            f"the test split has {len(parts.test_ids):,} rows, which can prove no gain; `prove.folds: 5` scores every row out of its fold "
            "and proves the recipe",
            Notice,
            stacklevel=2,
        )


def _refuse(project: Project) -> None:
    spec = project.spec
    asked = {
        "data.test": spec.data.test is not None,
        "augment.kinds": bool(spec.augment.kinds),
        "prove.slices": bool(spec.prove.slices),
        "search.trials": spec.search.trials > 0,
        "train.seeds (more than one)": len(spec.train.seeds) > 1,
    }
    wrong = [key for key, given in asked.items() if given]
    if wrong:
        raise SpecError(f"prove.folds is {spec.prove.folds}, which does not go with {', '.join(wrong)}; remove one of them")
    if METRICS[project.metric].kind == "corpus":
        raise SpecError(
            f"prove.folds is {spec.prove.folds}, but {project.metric} is no mean of scores of examples; name accuracy, exact_match, "
            "rouge_l or another that is"
        )


def _rules(project: Project, first: Prepared) -> tuple[GateRule, ...]:
    """Those that out-of-fold predictions can answer: better than the prompts, and the audit."""
    prompts = prompt_candidates(project, first.train, first.settings)
    rules = gate_rules(project, list(prompts))
    return tuple(rule for rule in rules if rule.kind in ("beats_baseline", "audit") and not rule.panel)


def _fold(ground: Ground, plan: Plan, number: int, *, allowed: bool) -> Fold:
    """The recipe once: prompts, trainings, and the choice among them on the fold's own validation rows."""
    project, prepared = ground.project, ground.prepared(number)
    beside, _ = opponents(project, prepared, prompt_candidates(project, prepared.train, prepared.settings))
    recipes = [_recipe(project, prepared, plan, method, f"fold-{number + 1}-{method}") for method in plan.chosen]
    runs = [trained(project, recipe, allowed=allowed) for recipe in recipes]
    tuned = [
        best_of(project, prepared, [candidate], generator)
        for candidate, generator in (
            tuned_candidate(project, run, recipe, ground.responses) for run, recipe in zip(runs, recipes, strict=True)
        )
    ]
    best = max(range(len(tuned)), key=lambda place: steps.score(project, tuned[place].winner))
    champion, _ = under_each_prompt(project, prepared, tuned[best], beside)
    # loaded again when its fold is scored: the models of all folds together may not fit into memory
    _, again = tuned_candidate(project, runs[best], recipes[best], ground.responses)
    held = [row for row in ground.rows if ground.fold_of.get(row.id) == number]
    return Fold(held, beside, replace(champion, generator=with_shots(project, prepared.train, again)), runs)


def _recipe(project: Project, prepared: Prepared, plan: Plan, method: Method, name: str) -> Recipe:
    trainings = len(plan.chosen) * project.spec.prove.folds
    plain = Recipe(name, method, plan, prepared.settings, prepared.train, prepared.validation, trainings)
    return prevented(project, prepared, plain)


def _proof(project: Project, results: Results, made: list[Fold], fold_of: dict[str, int]) -> tuple[Decision, Path, Path]:
    """Open all held-out rows once, score each out of its fold, decide, write."""
    everyone = [[(one.candidate.name, one) for one in fold.beside] + [(RECIPE, fold.champion)] for fold in made]
    named = {name: one_name([dict(each)[name].candidate for each in everyone], name) for name, _ in everyone[0]}
    opening = opening_of(project, results.split, results.fixed, list(named.values()))
    _, number = project.store.open_test(results.split.test_file, opening)
    confidence = confidence_at(project.spec.prove.confidence, number)
    chosen = tuple(fold.champion.candidate.name for fold in made)
    examples = [row for fold in made for row in fold.held]
    found: dict[str, list[Evaluation]] = {name: [] for name in named}
    held = [fold.held for fold in made]
    made.clear()  # with a fold goes its model
    for rows in held:
        for name, one in everyone.pop(0):
            found[name].append(one.evaluated(project, rows, "test"))
    on_test = tuple(summarised(merged(project, named[name], parts), fold_of, confidence) for name, parts in found.items())
    judged_at = (tuple(f.check for f in results.audit.blockers), number, confidence)
    measured = measured_over_folds(on_test, RECIPE, fold_of, judged_at)
    says = outlook(len(project.examples), measured, results.rules)
    report = FoldReport(folds=project.spec.prove.folds, fold_of=fold_of, chosen=chosen, outlook=says)
    decision = decide_recipe(results.rules, measured, report.folds)
    evidence = _evidence(project, results, measured, (decision, report))
    return decision, *write_proof(project, results, (evidence, None, (), None), examples)


def _evidence(project: Project, results: Results, measured: Measured, found: tuple[Decision, FoldReport]) -> Evidence:
    decision, report = found
    on_test = [measured.champion, *measured.baselines]
    evidence = evidence_of(project, results, measured, on_test, decision)
    return evidence.model_copy(
        update={
            "records": evidence.records | {"folds": report.fingerprint},
            "folds": report,
            "human": stored_votes(project.folder, on_test),
            "roi": returns(project, (results.plan, results.runs, ()), on_test, measured.comparisons, RECIPE),
        }
    )


def _final(ground: Ground, plan: Plan, method: Method) -> None:
    """Weights trained on all rows by the recipe: no row is left to prove them."""
    project = ground.project
    training = trained(project, _recipe(project, ground.prepared(-1), plan, method, f"final-{method}"), allowed=True)
    kept = project.store.keep_weights(project.folder / training.weights_folder, f"{FINAL}-{'model' if method == 'full' else 'adapter'}")
    warnings.warn(f"{kept}: trained on all rows by the recipe; these weights are not proven by themselves", Notice, stacklevel=2)
