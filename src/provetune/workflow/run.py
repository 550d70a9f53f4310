"""The whole flow, from a file of examples to a decision. Reads top to bottom."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from provetune.errors import SpecError
from provetune.hashing import canonical_json, fingerprint, folder_sha256
from provetune.models.lazy import LazyGenerator
from provetune.models.linear import LinearClassifier
from provetune.models.responses import CachedGenerator, Identity, ResponseCache
from provetune.protocols import Generator
from provetune.records.candidate import Candidate, GenerationSettings, Method, Plan, TrainingRun
from provetune.records.data import AuditReport, Example, Split
from provetune.records.evaluation import Decision, Evaluation
from provetune.scoring import Yardstick
from provetune.store import StepKey, content_sha256, write_atomic
from provetune.workflow import steps
from provetune.workflow.augment_arm import SUFFIX, augmentation_report, augmented_rows
from provetune.workflow.project import Project, begin_run, environment, need_torch
from provetune.workflow.prove import Results, prove


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
        review = steps.audit_project(project)
        steps.refuse_blocked(review)
        split = steps.split_project(project, review)
        rows = {example.id: example for example in project.examples}
        train_rows = [rows[i] for i in split.train_ids]
        validation = steps.tied_together([rows[i] for i in split.validation_ids])
        plan = steps.plan_project(project, split, train_rows)
        settings = steps.generation_settings(project, train_rows)
        responses = ResponseCache(project.folder / ".provetune" / "responses.sqlite")
        base = CachedGenerator(LazyGenerator(lambda: _load(project, None, None)), responses, _identity(project))

        prompts = steps.prompt_candidates(project, train_rows, settings)
        rules = steps.gate_rules(project, list(prompts))
        fixed = steps.fixed_before_training(project, split, rules)
        _lock(project, fixed)

        chosen: list[tuple[Candidate, Generator]] = []
        looked_at: list[Evaluation] = []
        for variants in prompts.values():
            measured = [steps.evaluate(project, c, base, validation, "validation") for c in variants]
            looked_at += measured
            best = max(range(len(variants)), key=lambda i: (steps.score(project, measured[i]), -i))
            chosen.append((variants[best], base))
        if project.spec.task.type == "classify":
            linear = LazyGenerator(lambda: LinearClassifier(train_rows))
            candidate = steps.linear_candidate(train_rows, settings)
            looked_at.append(steps.evaluate(project, candidate, linear, validation, "validation"))
            chosen.append((candidate, linear))

        augmented = augmented_rows(project, split, train_rows, base)
        arms = {"": train_rows} if augmented is None else {"": train_rows, SUFFIX: augmented.rows}
        runs, tuned = [], []
        for method, (suffix, arm) in product(plan.chosen, arms.items()):
            recipe = _Recipe(f"{method}{suffix}", method, plan, split, settings, arm, validation, len(plan.chosen) * len(arms))
            training = _train(project, recipe, allowed=train)
            candidate, generator = _tuned(project, training, recipe, responses)
            runs.append(training)
            tuned.append((steps.evaluate(project, candidate, generator, validation, "validation"), candidate, generator))
        measured_arms = [evaluation for evaluation, _, _ in tuned]
        looked_at += measured_arms
        augmentation = None if augmented is None else augmentation_report(project, augmented, measured_arms)
        _, champion, generator = max(tuned, key=lambda found: steps.score(project, found[0]))
        chosen.append((champion, generator))
        _keep_weights(project, champion)

        results = Results(review, split, plan, tuple(runs), tuple(looked_at), rules, fixed, augmentation)
        decision, report, evidence = prove(project, results, chosen, champion)
        return Outcome(decision, project.store.current, report, evidence)


@dataclass(frozen=True)
class _Recipe:
    name: str
    method: Method
    plan: Plan
    split: Split
    settings: GenerationSettings
    train: Sequence[Example]
    validation: Sequence[Example]
    trainings: int


def _train(project: Project, recipe: _Recipe, *, allowed: bool) -> TrainingRun:
    from provetune.tuning import TuneRequest, tune

    method, plan, store = recipe.method, recipe.plan, project.store
    candidate = Candidate(
        name=f"tuned-{recipe.name}",
        kind="full" if method == "full" else "adapter",
        prompt=steps.PLAIN,
        generation=recipe.settings,
    )
    seed = project.spec.train.seeds[0]
    inputs = {
        "rows": fingerprint([content_sha256(recipe.train), content_sha256(recipe.validation)]),
        "recipe": fingerprint([method, plan.hyperparameters[method], seed, project.metric, candidate.fingerprint]),
        "model": fingerprint(project.model.model_dump(mode="json")),
    }
    checkpoints = store.current / "checkpoints" / recipe.name
    hours = project.spec.budget.max_hours

    def make() -> TrainingRun:
        if not allowed:
            raise SpecError(f"{method}: nothing is trained yet for this spec and data; run `provetune run` first")
        request = TuneRequest(
            method=method,
            base_folder=project.base_folder,
            model=project.model,
            tokenizer=project.tokenizer,
            template=candidate,
            train=recipe.train,
            validation=recipe.validation,
            yardstick=Yardstick(project.spec.task.type, project.labels, "validation"),
            metric=project.metric,
            hyperparameters=plan.hyperparameters[method],
            seed=seed,
            checkpoints=checkpoints,
            out=store.current / "weights" / recipe.name,
            max_seconds=hours * 3600 / recipe.trainings if hours else float("inf"),
            environment=environment(),
            progress=project.progress,
        )
        made = tune(request)
        return made.model_copy(update={"weights_folder": str(Path(made.weights_folder).relative_to(project.folder))})

    found = store.once(StepKey(f"tuning-{recipe.name}", 1, inputs), TrainingRun, make, usable=lambda r: _intact(project, r))
    shutil.rmtree(checkpoints, ignore_errors=True)  # the weights are saved; what is left only serves a resume
    return found


def _intact(project: Project, training: TrainingRun) -> bool:
    """Whether the weights are the ones that were written."""
    folder = project.folder / training.weights_folder
    return folder.is_dir() and folder_sha256(folder, [".safetensors"]) == training.weights_sha256


def _tuned(project: Project, training: TrainingRun, recipe: _Recipe, responses: ResponseCache) -> tuple[Candidate, Generator]:
    """The candidate as it would ship: its weights read back from disk."""
    full = training.method == "full"
    candidate = Candidate(
        name=f"tuned-{recipe.name}",
        kind="full" if full else "adapter",
        prompt=steps.PLAIN,
        generation=recipe.settings,
        model=project.model,
        weights_folder=training.weights_folder,
        weights_sha256=training.weights_sha256,
    )
    folder = project.folder / training.weights_folder
    generator = LazyGenerator(lambda: _load(project, None if full else folder, folder if full else None))
    return candidate, CachedGenerator(generator, responses, _identity(project, training))


def _identity(project: Project, training: TrainingRun | None = None) -> Identity:
    """Who answers: the base model, or what was tuned; every file beside the weights decides an answer, too."""
    beside = folder_sha256(project.base_folder, [".json", ".jinja", ".model"])
    base, tuned = project.model.weights_sha256, "" if training is None else training.weights_sha256
    full = training is not None and training.method == "full"
    return Identity(tuned if full else base, "" if full else tuned, fingerprint([project.model.template, beside]))


def _load(project: Project, adapter: Path | None, full: Path | None) -> Generator:
    from provetune.models.transformers import TransformersGenerator, load_model

    return TransformersGenerator(load_model(full or project.base_folder, adapter), project.tokenizer)


def _lock(project: Project, fixed: dict[str, str]) -> None:
    """Write split.lock: what this run may not change any more. An earlier, different lock is kept beside it."""
    lock, text = project.folder / "split.lock", canonical_json(fixed) + "\n"
    before = lock.read_text(encoding="utf-8").splitlines(keepends=True) if lock.is_file() else []
    if text not in before:
        write_atomic(lock, "".join([*before, text]))


def _keep_weights(project: Project, champion: Candidate) -> None:
    """Put the champion's weights where a user looks for them: `<run>/adapter` or `<run>/model`."""
    name = "model" if champion.kind == "full" else "adapter"
    kept = project.store.current / name
    if champion.weights_folder is not None and not (kept.is_dir() and folder_sha256(kept, [".safetensors"]) == champion.weights_sha256):
        project.store.keep_weights(project.folder / champion.weights_folder, name)
