"""Whom a tuned model has to beat: the best prompt of every strategy, and the classifier that is always shown beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provetune.models.lazy import LazyGenerator
from provetune.models.linear import LinearClassifier
from provetune.protocols import Generator
from provetune.records.candidate import Candidate
from provetune.records.evaluation import Evaluation
from provetune.workflow import steps
from provetune.workflow.prepare import Prepared
from provetune.workflow.project import Project


@dataclass(frozen=True)
class Opponent:
    """The variant that won on validation, who answers for it, and all variants as they were measured there."""

    candidate: Candidate
    generator: Generator
    measured: tuple[Evaluation, ...]


def opponents(project: Project, prepared: Prepared, prompts: dict[str, list[Candidate]]) -> list[Opponent]:
    """One opponent of each strategy, chosen on validation, and, for a classification, the linear classifier."""
    found = [_best(project, prepared, variants, prepared.base) for variants in prompts.values()]
    if project.spec.task.type == "classify":
        candidate = steps.linear_candidate(prepared.train, prepared.settings)
        found.append(_best(project, prepared, [candidate], LazyGenerator(lambda: LinearClassifier(prepared.train))))
    return found


def _best(project: Project, prepared: Prepared, variants: Sequence[Candidate], generator: Generator) -> Opponent:
    measured = tuple(steps.evaluate(project, candidate, generator, prepared.validation, "validation") for candidate in variants)
    best = max(range(len(variants)), key=lambda place: (steps.score(project, measured[place]), -place))
    return Opponent(variants[best], generator, measured)
