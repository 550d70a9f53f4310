"""What a proof is made from and what it leaves: the evidence and the report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provetune import __version__
from provetune.errors import EvidenceError
from provetune.gate import Measured
from provetune.records.augmentation import AugmentationReport
from provetune.records.candidate import Plan, TrainingRun
from provetune.records.data import AuditReport, Example, Split
from provetune.records.endpoint import EndpointUse
from provetune.records.evaluation import Decision, Evaluation, Evidence, GateRule, Opening
from provetune.records.forgetting import ForgettingReport
from provetune.records.prompt_search import PromptSearch
from provetune.records.provenance import Provenance
from provetune.records.retention import RetentionReport
from provetune.records.robustness import RobustnessReport
from provetune.records.tuning_search import TuningSearch
from provetune.report.html import render_report
from provetune.report.inputs import ReportInputs
from provetune.store import predicted_texts, write_atomic
from provetune.workflow.contender import Contender
from provetune.workflow.curve import stored_curve
from provetune.workflow.licence import base_licence
from provetune.workflow.project import Project, environment


@dataclass(frozen=True)
class Results:
    """Everything that was recorded before the test split is opened."""

    audit: AuditReport
    split: Split
    plan: Plan
    runs: tuple[TrainingRun, ...]
    on_validation: tuple[Evaluation, ...]
    rules: tuple[GateRule, ...]
    fixed: dict[str, str]
    augmentation: AugmentationReport | None = None
    searches: tuple[PromptSearch, ...] = ()
    tuning_searches: tuple[TuningSearch, ...] = ()
    retention: RetentionReport | None = None
    over_seeds: tuple[Contender, ...] = ()
    forgetting: ForgettingReport | None = None


def evidence_of(project: Project, results: Results, measured: Measured, on_test: Sequence[Evaluation], decision: Decision) -> Evidence:
    """What every proof puts into its evidence; who asks adds what stands beside the decision."""
    return Evidence(
        project=project.spec.name,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        made_by=f"provetune {__version__}",
        environment=environment(),
        fixed_before_training=results.fixed,
        rules=results.rules,
        audit_blockers=tuple(measured.audit_blockers),
        labels=project.labels,
        champion=measured.champion.candidate.name,
        evaluations=(*results.on_validation, *on_test),
        comparisons=tuple(measured.comparisons),
        openings=tuple(o.model_copy(update={"row_hashes": ()}) for o in concerning(project.store.openings(), results.split)),
        decision=decision,
        records={
            "audit": results.audit.fingerprint,
            "split": results.split.fingerprint,
            "plan": results.plan.fingerprint,
            **{f"tuning-{Path(run.weights_folder).name}": run.fingerprint for run in results.runs},
        },
    )


def concerning(openings: Sequence[Opening], split: Split) -> list[Opening]:
    """Openings of rows of this split."""
    mine = set(split.test_row_hashes)
    return [opening for opening in openings if mine & set(opening.row_hashes)]


_Made = tuple[Evidence, Provenance | None, tuple[EndpointUse, ...], RobustnessReport | None]


def write_proof(project: Project, results: Results, made: _Made, rows: Sequence[Example]) -> tuple[Path, Path]:
    """Report and evidence of the current run; what is there already and says the same stays."""
    evidence, sheet, uses, robust = made
    run = project.store.current
    evidence_file, report_file = run / "evidence.json", run / "report.html"
    before = _read_evidence(evidence_file)
    if before is not None and report_file.is_file() and _same(before, evidence):
        return report_file, evidence_file
    predictions = {e.candidate.name: predicted_texts(project.folder / e.predictions_file) for e in evidence.evaluations if e.part == "test"}
    tests = {e.id: e for e in rows}
    inputs = ReportInputs(
        evidence,
        results.audit,
        results.split,
        results.plan,
        results.runs,
        tests,
        predictions,
        augmentation=results.augmentation,
        curve=stored_curve(project),
        provenance=sheet,
        licence=base_licence(project),
        searches=results.searches,
        tuning_searches=results.tuning_searches,
        forgetting=results.forgetting,
        endpoints=uses,
        robustness=robust,
        overrides=project.overrides,
    )
    write_atomic(evidence_file, evidence.to_json())
    write_atomic(report_file, render_report(inputs))
    project.store.event("decided", outcome=evidence.decision.outcome)
    return report_file, evidence_file


def _read_evidence(file: Path) -> Evidence | None:
    try:
        return Evidence.from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, EvidenceError):
        return None


def _same(a: Evidence, b: Evidence) -> bool:
    return a.model_copy(update={"made_at": b.made_at}) == b
