"""A report and its evidence without any text of a row: what may be shown to people who may not see the data."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from provetune.errors import EvidenceError, FolderError
from provetune.hashing import fingerprint
from provetune.records.augmentation import AugmentationReport
from provetune.records.base import Record
from provetune.records.candidate import Plan, TrainingRun
from provetune.records.curve import LearningCurve
from provetune.records.data import AuditReport, Split
from provetune.records.endpoint import EndpointUse
from provetune.records.evaluation import Evidence
from provetune.records.forgetting import ForgettingReport
from provetune.records.provenance import Provenance
from provetune.records.robustness import RobustnessReport
from provetune.records.tuning_search import TuningSearch
from provetune.report.hidden import hidden_audit, redacted
from provetune.report.html import render_report
from provetune.report.inputs import ReportInputs
from provetune.store import records_in, write_atomic
from provetune.workflow.project import Project
from provetune.workflow.verify import read_evidence, verify

R = TypeVar("R", bound=Record)
SHORTEST = 12
"""Characters from which a text is looked for in what was written: shorter ones are words of any language."""


def redact(project: Project, run: Path) -> tuple[Path, Path]:
    """Write `report-redacted.html` and `evidence-redacted.json` of a run; returns both. Hashes and observations stay, so it verifies.

    Prompts, shots, labels and findings are hidden; ids stay. FolderError where the data is another than that of the run or a record is
    missing, EvidenceError where a text of a row would still be seen.
    """
    if not run.name.endswith(project.key):
        raise FolderError(f"{run}: provetune.yaml or the data changed since that run; undo the change, or `provetune prove` again")
    evidence = read_evidence(run / "evidence.json")
    inputs = hidden_inputs(run, evidence)
    shown = inputs.evidence
    texts = {m.text for e in (*project.examples, *(project.given_test or ())) for m in e.messages if m.role != "system"}
    page, content = render_report(inputs), shown.to_json()
    seen = list(_seen(texts, (page, content)))
    if seen:
        raise EvidenceError(
            f"{run}: texts of {len(seen):,} rows would still be seen ({fingerprint(seen[0])} for one); please report this as a bug"
        )
    report_file, evidence_file = run / "report-redacted.html", run / "evidence-redacted.json"
    write_atomic(evidence_file, content)
    verify(evidence_file)
    write_atomic(report_file, page)
    return report_file, evidence_file


def hidden_inputs(run: Path, evidence: Evidence) -> ReportInputs:
    """What the report is written from, as the records of the run hold it, without texts. FolderError where one is missing."""
    names = {label: f"label {place}" for place, label in enumerate(evidence.labels, start=1)}
    shown = redacted(evidence)
    wanted = set(evidence.records.values())

    def named(kind: type[R]) -> tuple[R, ...]:
        return tuple(record for record in records_in(run, kind) if record.fingerprint in wanted)

    def one(kind: type[R]) -> R | None:
        return next(iter(named(kind)), None)

    audit, split = one(AuditReport), one(Split)
    plan = one(Plan) or next(iter(records_in(run, Plan)), None)
    if plan is None or audit is None or split is None:
        raise FolderError(f"{run / 'records'}: records of audit, split or plan are missing; `provetune prove` writes them again")
    return ReportInputs(
        shown,
        hidden_audit(audit, names),
        split,
        plan,
        named(TrainingRun),
        {},
        {},
        augmentation=one(AugmentationReport),
        curve=one(LearningCurve),
        provenance=one(Provenance),
        tuning_searches=named(TuningSearch),
        endpoints=named(EndpointUse),
        robustness=one(RobustnessReport),
        forgetting=one(ForgettingReport),
    )


def _seen(texts: Iterable[str], written: tuple[str, ...]) -> Iterator[str]:
    """Texts that stand in what was written, in any of the ways that HTML and JSON have of writing them."""
    for text in texts:
        forms = (text, html.escape(text), json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
        if len(text.strip()) >= SHORTEST and any(form in one for form in forms for one in written):
            yield text
