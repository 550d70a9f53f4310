"""One who takes part in the proof: a candidate, who answers for it, and how it was chosen on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provetune.models.endpoint import EndpointGenerator
from provetune.protocols import Generator, ShotPicker
from provetune.records.candidate import Candidate
from provetune.records.data import Example
from provetune.records.endpoint import EndpointUse
from provetune.records.evaluation import Evaluation, Part
from provetune.workflow import steps
from provetune.workflow.endpoints import endpoint_use
from provetune.workflow.prepare import Prepared
from provetune.workflow.project import Project


@dataclass(frozen=True)
class Contender:
    """The variant that won on validation, who answers for it, and all variants as they were measured there."""

    candidate: Candidate
    generator: Generator
    measured: tuple[Evaluation, ...]
    endpoint: EndpointGenerator | None = None

    @property
    def winner(self) -> Evaluation:
        """How the candidate did on validation."""
        return next(evaluation for evaluation in self.measured if evaluation.candidate == self.candidate)

    def evaluated(self, project: Project, examples: Sequence[Example], part: Part) -> Evaluation:
        """The candidate on these examples, measured once."""
        return steps.evaluate(project, self.candidate, self.generator, examples, part)

    def use(self, project: Project, evaluation: Evaluation, examples: Sequence[Example]) -> EndpointUse | None:
        """What asking an endpoint took; None for a model of our own."""
        if self.endpoint is None:
            return None
        picker = self.generator if isinstance(self.generator, ShotPicker) else None
        return endpoint_use(project, self.endpoint, evaluation, examples, picker)


def best_of(
    project: Project,
    prepared: Prepared,
    variants: Sequence[Candidate],
    generator: Generator,
    endpoint: EndpointGenerator | None = None,
) -> Contender:
    """Each variant measured on validation; the first of the best wins."""
    measured = tuple(steps.evaluate(project, candidate, generator, prepared.validation, "validation") for candidate in variants)
    best = max(range(len(variants)), key=lambda place: (steps.score(project, measured[place]), -place))
    return Contender(variants[best], generator, measured, endpoint)
