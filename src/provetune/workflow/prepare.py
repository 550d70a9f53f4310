"""What every flow begins with: reviewed rows in their parts, what completions are asked for, and the base model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provetune.models.lazy import LazyGenerator
from provetune.models.responses import CachedGenerator, ResponseCache
from provetune.protocols import Generator
from provetune.records.candidate import GenerationSettings
from provetune.records.data import AuditReport, Example, Split
from provetune.similarity import tied_together
from provetune.workflow import steps
from provetune.workflow.licence import base_licence
from provetune.workflow.project import Project
from provetune.workflow.prompts import generation_settings, with_shots
from provetune.workflow.tuned import identity, load_generator


@dataclass(frozen=True)
class Prepared:
    """The rows of each part but the sealed one, the settings of every completion, and the base model, loaded when it is asked."""

    review: AuditReport
    split: Split
    train: Sequence[Example]
    validation: Sequence[Example]
    settings: GenerationSettings
    responses: ResponseCache
    base: Generator


def prepare(project: Project) -> Prepared:
    """Licence, audit and split. Raises SpecError on a base that may not be used, AuditBlocked where something must be mended first."""
    base_licence(project)
    review, split, train, validation = parted(project)
    responses = ResponseCache(project.folder / ".provetune" / "responses.sqlite")
    base = CachedGenerator(LazyGenerator(lambda: load_generator(project, None, None)), responses, identity(project))
    return Prepared(
        review=review,
        split=split,
        train=train,
        validation=validation,
        settings=generation_settings(project, train),
        responses=responses,
        base=with_shots(project, train, base),
    )


def parted(project: Project) -> tuple[AuditReport, Split, list[Example], list[Example]]:
    """Audit, split, and the rows of training and validation. Raises AuditBlocked where something must be mended first."""
    review = steps.audit_project(project)
    steps.refuse_blocked(review)
    split = steps.split_project(project, review)
    rows = {example.id: example for example in project.examples}
    return review, split, [rows[i] for i in split.train_ids], tied_together([rows[i] for i in split.validation_ids])
