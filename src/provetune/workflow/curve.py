"""The learning curve of a project: candidates trained on growing subsets of its training rows. The audit itself trains nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from provetune.errors import DataError, SpecError
from provetune.evaluation.learning_curve import Question, Sized, learning_curve
from provetune.evaluation.learning_curve import needed_text as needed_text
from provetune.hashing import fingerprint
from provetune.records.curve import LearningCurve
from provetune.records.data import Example
from provetune.records.evaluation import Evaluation
from provetune.stats.estimate import Estimate
from provetune.store import StepKey, content_sha256, records_in
from provetune.workflow import steps
from provetune.workflow.prepare import Prepared, prepare
from provetune.workflow.project import Project, begin_run, need_torch
from provetune.workflow.prompts import prompt_candidates
from provetune.workflow.subsets import nested_order, with_wrong_targets
from provetune.workflow.training import StandIn, Trainings

LADDERS = ((6, 2.0, 50), (5, 2.0, 50), (4, 2.0, 50), (4, 2.0**0.5, 20))
"""(sizes, factor between them, fewest rows of the smallest): the first that fits the rows is taken."""
MOST_TRAININGS, MOST_STAND_INS = 5, 6
"""Sizes of a curve of real trainings (together about two whole trainings, and a few small ones), and of a stand-in."""
STAND_IN_ROWS = 10_000
"""The linear stand-in is not tried on more rows, so that it stays a matter of minutes."""
DRAWS = 3
"""Subsets that are drawn of each small size."""
NOISE = (0.1, 0.2)
"""Shares of wrong targets in the quality-against-quantity experiment."""
MATTERS = 0.01
"""The smallest gain worth collecting for where the project file's margin is smaller."""


Learner = StandIn | Trainings


def curve_of(project: Project, *, quick: bool, noise: bool) -> LearningCurve:
    """Train on growing subsets, measure each on the validation rows, forecast. Test rows are not opened; what is measured is kept.

    `quick` lets the linear classifier stand in for trainings (classification only); `noise` adds the same curve with 10 % and
    20 % wrong targets. Raises SpecError where this cannot be done, DataError on too few rows, AuditBlocked as a run would.
    """
    if quick and project.spec.task.type != "classify":
        raise SpecError(f"--quick: the linear stand-in needs labels, task {project.spec.task.type} has none; leave --quick out")
    if not quick:
        need_torch()
    with project.store.locked():
        begin_run(project, leads=False)
        prepared = prepare(project)
        learner: Learner
        if quick:
            learner = StandIn(project.labels, prepared.settings, prepared.validation)
        else:
            plan = steps.plan_project(project, prepared.split, prepared.train)
            learner = Trainings(project, plan, prepared.settings, prepared.validation)
        asked = fingerprint([project.metric, _matters(project), noise])
        inputs = {"split": prepared.split.fingerprint, "learner": learner.key, "asked": asked}
        key = StepKey("learning-curve", 1, inputs)
        return project.store.once(key, LearningCurve, lambda: _made(project, prepared, learner, noise=noise))


def curve_sizes(rows: int, most: int) -> list[int]:
    """4 to `most` sizes up to all `rows`, each 1.4 to 2 times the one before; DataError below 57 rows.

    >>> curve_sizes(3200, 6), curve_sizes(3200, 5), curve_sizes(100, 6)
    ([100, 200, 400, 800, 1600, 3200], [200, 400, 800, 1600, 3200], [35, 50, 71, 100])
    """
    for count, factor, fewest in LADDERS:
        if count <= most and rows / factor ** (count - 1) >= fewest:
            return [round(rows / factor**step) for step in range(count - 1, -1, -1)]
    raise DataError(f"found {rows} training rows, wanted at least 57 for a learning curve; collect more first, so few nearly always gain")


def stored_curve(project: Project) -> LearningCurve | None:
    """The curve measured for this very spec and data: one of real trainings first; None where there is none."""
    found = records_in(project.store.current, LearningCurve)  # a damaged one is measured again when it is asked for
    return min(found, key=lambda curve: (curve.proxy, not curve.noisy), default=None)


def _matters(project: Project) -> float:
    return max(MATTERS, project.spec.prove.margin)


def _made(project: Project, prepared: Prepared, learner: Learner, *, noise: bool) -> LearningCurve:
    started, train = time.monotonic(), prepared.train
    prompt = None if isinstance(learner, StandIn) else _best_prompt(project, prepared)
    arms = {0.0: list(train), **{share: with_wrong_targets(train, share, 0) for share in (NOISE if noise else ())}}
    found = {share: _sized(project, learner, rows, share) for share, rows in arms.items()}
    commonest = Counter(example.label for example in learner.validation if example.label is not None).most_common(1)
    floors = [count / len(learner.validation) for _, count in commonest] + ([prompt.value] if prompt and prompt.value else [])
    question = Question(
        dataset=project.dataset.fingerprint,
        metric=project.metric,
        candidate=learner.name,
        proxy=learner.proxy,
        rows=len(train),
        matters=_matters(project),
        floor=max(floors, default=0.0),
        prompt=prompt,
    )
    return learning_curve(question, found.pop(0.0), found, time.monotonic() - started)


def _sized(project: Project, learner: Learner, rows: Sequence[Example], wrong: float) -> list[Sized]:
    """Measured subsets of each size; three draws of the small ones, as far as three cost little beside the large ones."""
    most, largest = (MOST_STAND_INS, min(len(rows), STAND_IN_ROWS)) if learner.proxy else (MOST_TRAININGS, len(rows))
    sizes = curve_sizes(largest, most)
    several = {size for size in sizes if size < largest and (learner.proxy or 4 * size <= largest)}
    ordered = {draw: nested_order(rows, draw) for draw in range(DRAWS)}
    work = [(size, draw) for size in sizes for draw in range(DRAWS if size in several else 1)]
    done: dict[int, list[Evaluation]] = {}
    cost = list(accumulate(size for size, _ in work))
    what = f"curve, {learner.name}" + (f", {100 * wrong:.0f} % wrong" if wrong else "")
    for (size, draw), spent in zip(work, [0, *cost], strict=False):
        project.progress(what, spent, cost[-1])
        done.setdefault(size, []).append(_kept(project, learner, ordered[draw][:size], draw))
    project.progress(what, cost[-1], cost[-1])
    return [Sized(size, tuple(found)) for size, found in done.items()]


def _kept(project: Project, learner: Learner, rows: Sequence[Example], draw: int) -> Evaluation:
    inputs = {"learner": learner.key, "rows": content_sha256(rows), "draw": str(draw)}
    return project.store.once(StepKey("curve-point", 1, inputs), Evaluation, lambda: learner.measured(rows, draw))


def _best_prompt(project: Project, prepared: Prepared) -> Estimate | None:
    """The best prompt on the base model: what no training row at all gives."""
    prompts = [c for variants in prompt_candidates(project, prepared.train, prepared.settings).values() for c in variants]
    found = [steps.evaluate(project, candidate, prepared.base, prepared.validation, "validation") for candidate in prompts]
    best = max(found, key=lambda evaluation: steps.score(project, evaluation), default=None)
    return None if best is None else best.summary[project.metric]
