"""The last part of the flow: open the test split once for all candidates, compare, decide, write evidence and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provetune import __version__
from provetune.errors import EvidenceError
from provetune.evaluation import compare, confidence_at
from provetune.gate import Measured, decide
from provetune.protocols import Generator
from provetune.records.augmentation import AugmentationReport
from provetune.records.candidate import Candidate, Plan, TrainingRun
from provetune.records.data import AuditReport, Example, Split
from provetune.records.evaluation import Comparison, Decision, Evaluation, Evidence, GateRule, Opening, Prediction
from provetune.report.html import render_report
from provetune.report.inputs import ReportInputs
from provetune.scoring import estimate_of
from provetune.store import lines_of, write_atomic
from provetune.workflow import steps
from provetune.workflow.curve import stored_curve
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


def prove(
    project: Project, results: Results, chosen: Sequence[tuple[Candidate, Generator]], champion: Candidate
) -> tuple[Decision, Path, Path]:
    """Decision, report and evidence; the ledger is written before the first test row is read."""
    opening = steps.opening_of(project, results.split, results.fixed, [candidate for candidate, _ in chosen])
    opened, number = project.store.open_test(results.split.test_file, opening)
    rows = steps.tied_together(opened)
    confidence = confidence_at(project.spec.prove.confidence, number)
    on_test = tuple(
        at_confidence(steps.evaluate(project, candidate, generator, rows, "test"), confidence) for candidate, generator in chosen
    )
    measured = _measured(on_test, champion.name, (tuple(f.check for f in results.audit.blockers), number, confidence))
    decision = decide(results.rules, measured)
    asides = {"augmentation": results.augmentation, "learning-curve": stored_curve(project)}
    evidence = Evidence(
        project=project.spec.name,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        made_by=f"provetune {__version__}",
        environment=environment(),
        fixed_before_training=results.fixed,
        rules=results.rules,
        audit_blockers=tuple(measured.audit_blockers),
        labels=project.labels,
        champion=champion.name,
        evaluations=(*results.on_validation, *on_test),
        comparisons=tuple(measured.comparisons),
        openings=tuple(o.model_copy(update={"row_hashes": ()}) for o in _concerning(project.store.openings(), results.split)),
        decision=decision,
        records={
            "audit": results.audit.fingerprint,
            "split": results.split.fingerprint,
            "plan": results.plan.fingerprint,
            **{f"tuning-{Path(r.weights_folder).name}": r.fingerprint for r in results.runs},
            **{name: record.fingerprint for name, record in asides.items() if record is not None},
        },
    )
    return decision, *_write(project, results, evidence, rows)


def recompute(evidence: Evidence) -> Decision:
    """The decision once more, from the observations in the evidence alone; EvidenceError where it differs from the stored one."""
    stored = evidence.decision
    on_test = tuple(at_confidence(e, stored.confidence) for e in evidence.evaluations if e.part == "test")
    measured = _measured(on_test, evidence.champion, (evidence.audit_blockers, stored.opening, stored.confidence))
    again = decide(evidence.rules, measured)
    if again != stored:
        raise EvidenceError(
            f"the evidence gives {again.outcome!r} ({again.sentence}), but it says {stored.outcome!r} ({stored.sentence}); "
            "the file was changed, or another version made it. Run `provetune prove` again"
        )
    return again


def at_confidence(evaluation: Evaluation, confidence: float) -> Evaluation:
    """The same observations, summarised at another confidence."""
    summary = {name: estimate_of(evaluation, name, confidence) for name in evaluation.observations}
    return evaluation.model_copy(update={"summary": summary})


def _measured(on_test: Sequence[Evaluation], champion: str, judged_at: tuple[Sequence[str], int, float]) -> Measured:
    blockers, number, confidence = judged_at
    best = next((e for e in on_test if e.candidate.name == champion), None)
    if best is None:
        raise EvidenceError(f"{champion} was not measured on the test split; run `provetune prove` again")
    others = [e for e in on_test if e is not best]
    comparisons: list[Comparison] = [compare(best, other, metric, confidence) for other in others for metric in best.metrics]
    return Measured(best, others, comparisons, blockers, number, confidence)


def _concerning(openings: Sequence[Opening], split: Split) -> list[Opening]:
    mine = set(split.test_row_hashes)
    return [opening for opening in openings if mine & set(opening.row_hashes)]


def _write(project: Project, results: Results, evidence: Evidence, rows: Sequence[Example]) -> tuple[Path, Path]:
    run = project.store.current
    evidence_file, report_file = run / "evidence.json", run / "report.html"
    before = _read_evidence(evidence_file)
    if before is not None and report_file.is_file() and _same(before, evidence):
        return report_file, evidence_file
    predictions = {e.candidate.name: _texts(project.folder / e.predictions_file) for e in evidence.evaluations if e.part == "test"}
    tests = {e.id: e for e in rows}
    inputs = ReportInputs(
        evidence, results.audit, results.split, results.plan, results.runs, tests, predictions, results.augmentation, stored_curve(project)
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


def _texts(file: Path) -> dict[str, str | None]:
    return {p.example_id: p.text for p in (Prediction.model_validate_json(line) for line in lines_of(file))}
