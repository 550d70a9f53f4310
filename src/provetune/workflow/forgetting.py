"""Tuning that forgets little: what is trained on beside the rows, and the choice among weights that gain and keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from provetune.errors import SpecError
from provetune.records.candidate import TrainingRun
from provetune.records.forgetting import ForgettingReport
from provetune.suites.retention import load_suites
from provetune.workflow import steps
from provetune.workflow.contender import Contender, best_of
from provetune.workflow.prepare import Prepared
from provetune.workflow.project import Project
from provetune.workflow.tuned import Recipe, trained, tuned_candidate
from provetune.workflow.weigh import Weigher, held, scaled, scaled_name


@dataclass(frozen=True)
class Remedied:
    """The weights that go on, who answers with them, all trainings and scaled weights there are besides, and why."""

    contender: Contender
    training: TrainingRun
    runs: tuple[TrainingRun, ...] = ()
    report: ForgettingReport | None = None


def remedied(
    project: Project, prepared: Prepared, tuned: tuple[Contender, Recipe], beside: Sequence[Contender], *, allowed: bool
) -> Remedied:
    """The weights of this recipe that gain most and still keep the base's skills, as `train.forgetting` asks; see `choose`.

    Nothing more is trained unless `allowed`.
    """
    best, recipe = tuned
    given, suites = project.spec.train.forgetting, project.spec.prove.retention
    training = trained(project, recipe, allowed=False)
    fixed = given.remedy == "scale" and given.scale != "auto"
    if given.remedy == "scale" and not suites and not fixed:
        raise SpecError("train.forgetting: scale is chosen by what is kept; name suites in prove.retention, or give train.forgetting.scale")
    if fixed:
        return _as_candidate(project, prepared, recipe, scaled(project, training, float(given.scale)), ())
    if not suites or given.remedy not in ("auto", "scale"):
        return Remedied(best, training)
    allowed = allowed and "pissa" not in project.spec.train.lora.variants  # it changes the base that KL holds to
    weigher = Weigher(project, prepared, load_suites(suites, project.folder), _wanted(project, beside), allowed)
    report = weigher.report(best.candidate.name, recipe)
    taken = report.points[report.chosen]
    near = [held(project, prepared, recipe)] if any(point.training != recipe.name for point in report.points) else []
    runs = {one.name: trained(project, one, allowed=True) for one in (recipe, *near)}
    own = next(one for one in (recipe, *near) if one.name == taken.training)
    if taken.scale == 1 and own is recipe:
        return Remedied(best, training, tuple(runs.values())[1:], report)
    found = scaled(project, runs[own.name], taken.scale)
    return replace(_as_candidate(project, prepared, own, found, tuple(runs.values())[1:]), report=report)


def _as_candidate(project: Project, prepared: Prepared, recipe: Recipe, run: TrainingRun, further: tuple[TrainingRun, ...]) -> Remedied:
    candidate, generator = tuned_candidate(project, run, replace(recipe, name=scaled_name(recipe, run.scale)), prepared.responses)
    runs = further if run.scale == 1 else (*further, run)
    return Remedied(best_of(project, prepared, [candidate], generator), run, runs)


def _wanted(project: Project, beside: Sequence[Contender]) -> float:
    """What the gate will ask for, on validation: the best prompt that is to be beaten, and the margin."""
    prove = project.spec.prove
    whole = prove.against == "best-baseline"
    scores = [
        steps.score(project, one.winner)
        for one in beside
        if (whole and one.candidate.kind == "prompt") or one.candidate.name in prove.against
    ]
    return max(scores, default=0.0) + prove.margin
