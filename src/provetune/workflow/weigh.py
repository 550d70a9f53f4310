"""Weights weighed by what they gain on validation and what they keep of the base: scaled ones, and a training held by KL."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from provetune.errors import ModelError
from provetune.evaluation.remedies import asked_of, choose, skill_losses
from provetune.evaluation.retention import Terms, items_sha256, score_suite
from provetune.hashing import fingerprint, folder_sha256
from provetune.planning.budget import budget_left
from provetune.protocols import Speaker
from provetune.records.candidate import TrainingRun
from provetune.records.forgetting import ForgettingReport, RemedyPoint
from provetune.records.retention import SuiteItem
from provetune.store import StepKey, content_sha256
from provetune.workflow import steps
from provetune.workflow.prepare import Prepared
from provetune.workflow.prevention import own_texts
from provetune.workflow.project import Project
from provetune.workflow.retention import base_scores
from provetune.workflow.tuned import Recipe, trained, tuned_candidate

SCALES = (0.75, 0.5, 0.35, 0.25)
"""Shares of the way from the base that are weighed beside the whole of it."""
TIMES = 3
"""A training held by KL takes at most about so many times as long: every step sees texts as well, through two models."""


@dataclass(frozen=True)
class Weigher:
    """Scores weights on validation rows and on the suite items that select."""

    project: Project
    prepared: Prepared
    suites: Mapping[str, Sequence[SuiteItem]]
    wanted: float
    allowed: bool
    terms: Terms = Terms()

    def report(self, candidate: str, recipe: Recipe) -> ForgettingReport:
        """All scales of the training; where none gains and keeps, and time allows, all of one that is held by KL; made once."""
        project, training = self.project, trained(self.project, recipe, allowed=False)
        spec = project.spec
        inputs = {
            "weights": training.weights_sha256,
            "suites": fingerprint({name: items_sha256(items) for name, items in self.suites.items()}),
            "rows": fingerprint([content_sha256(recipe.train), content_sha256(self.prepared.validation)]),
            "spec": fingerprint([spec.train.forgetting.model_dump(mode="json"), spec.budget.model_dump(mode="json"), self.wanted]),
        }

        def make() -> ForgettingReport:
            points = list(self.points(recipe, training))
            if spec.train.forgetting.remedy == "auto" and not any(p.gains and p.keeps for p in points) and self.may_train(recipe, training):
                kept_near = held(project, self.prepared, recipe)
                points += self.points(kept_near, trained(project, kept_near, allowed=True))
            chosen = choose(points)
            words = _words(points, chosen)
            return ForgettingReport(
                candidate=candidate, wanted_score=self.wanted, margin=self.terms.margin, points=tuple(points), chosen=chosen, sentence=words
            )

        return project.store.once(StepKey(f"forgetting-{recipe.name}", 1, inputs), ForgettingReport, make)

    def may_train(self, recipe: Recipe, training: TrainingRun) -> bool:
        """Whether more may be trained, the method can be held, and the budget leaves the time for it."""
        left = budget_left(self.project.spec, recipe.plan, recipe.method, 1)[0] - recipe.trainings * training.duration_s
        return self.allowed and recipe.method in ("full", "lora", "qlora") and recipe.beside is None and left > TIMES * training.duration_s

    def points(self, recipe: Recipe, training: TrainingRun) -> Iterator[RemedyPoint]:
        """The training at each scale, with `auto` down to the first that keeps the skills; an adapter that cannot be scaled as it is."""
        enough = self.project.spec.train.forgetting.remedy == "auto"
        yield (point := self.point(recipe, training))
        for scale in SCALES:
            if enough and point.keeps:
                return
            try:
                run = scaled(self.project, training, scale)
            except ModelError:
                return
            yield (point := self.point(recipe, run))
            shutil.rmtree(self.project.folder / run.weights_folder)

    def point(self, recipe: Recipe, run: TrainingRun) -> RemedyPoint:
        """One set of weights."""
        project = self.project
        name = replace(recipe, name=scaled_name(recipe, run.scale))
        candidate, generator = tuned_candidate(project, run, name, self.prepared.responses)
        score = steps.score(project, steps.evaluate(project, candidate, generator, self.prepared.validation, "validation"))
        losses, told = [], project.reporting(f"{candidate.name}, retention")

        for suite, items in self.suites.items():
            before = base_scores(project, cast("Speaker", self.prepared.base), suite, items)
            places = asked_of(items, before, self.terms)
            after = score_suite(cast("Speaker", generator), suite, [items[place] for place in places], told)
            losses += skill_losses(items, before, after.scores, self.terms)
        return RemedyPoint(
            training=recipe.name,
            scale=run.scale,
            weights_sha256=run.weights_sha256,
            score=score,
            skills=tuple(losses),
            kept=statistics.fmean(one.difference.value or 0.0 for one in losses) if losses else None,
            keeps=all(one.expected_low > -self.terms.margin for one in losses),
            gains=score > self.wanted,
        )


def held(project: Project, prepared: Prepared, recipe: Recipe) -> Recipe:
    """The same training, held by KL on the base's own texts."""
    texts = own_texts(project, prepared, project.spec.train.forgetting.weight)
    return replace(recipe, name=f"{recipe.name}-kl", beside=texts, trainings=1)


def scaled_name(recipe: Recipe, scale: float) -> str:
    """What a training is called at this share of its way."""
    return recipe.name if scale == 1 else f"{recipe.name}-x{scale:g}"


def scaled(project: Project, training: TrainingRun, scale: float) -> TrainingRun:
    """The same training with `scale` of the way from the base, its weights written beside; the same weights each time."""
    from provetune.models.scale import write_scaled

    if scale == 1:
        return training
    source = project.folder / training.weights_folder
    out = source.with_name(f"{source.name}-x{scale:g}")
    write_scaled(project.base_folder, source, scale, out)
    folder = str(out.relative_to(project.folder))
    return training.model_copy(update={"weights_folder": folder, "weights_sha256": folder_sha256(out, [".safetensors"]), "scale": scale})


def _words(points: Sequence[RemedyPoint], chosen: int) -> str:
    """What was weighed and why this was taken, in a sentence."""
    taken = points[chosen]
    what = f"{taken.training} at {taken.scale:g} of the way from the base"
    weighed = f"Of {len(points)} sets of weights"
    if taken.gains and taken.keeps:
        return f"{weighed} {what} gains most among those expected to keep every skill within the margin."
    if taken.gains:
        return f"{weighed} none is expected to gain enough and keep every skill within the margin; {what} gains enough and loses least."
    return f"{weighed} none gains enough on validation; {what} has the best score."
