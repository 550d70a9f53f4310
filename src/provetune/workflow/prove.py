"""The last part of the flow: open the test split once for all candidates, compare, decide, write evidence and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provetune import __version__
from provetune.errors import EvidenceError
from provetune.evaluation import compare, confidence_at
from provetune.evaluation.by_slice import again as panel_again
from provetune.evaluation.retention import again
from provetune.gate import Measured, decide
from provetune.records.augmentation import AugmentationReport
from provetune.records.candidate import Candidate, Plan, TrainingRun
from provetune.records.data import AuditReport, Example, Split
from provetune.records.endpoint import EndpointUse
from provetune.records.evaluation import Comparison, Decision, Evaluation, Evidence, GateRule, Opening, Prediction
from provetune.records.fairness import FairnessPanel, FairnessReport
from provetune.records.forgetting import ForgettingReport
from provetune.records.prompt_search import PromptSearch
from provetune.records.provenance import Provenance
from provetune.records.retention import RetentionReport
from provetune.records.robustness import RobustnessReport
from provetune.records.tuning_search import TuningSearch
from provetune.report.html import render_report
from provetune.report.inputs import ReportInputs
from provetune.scoring import estimate_of
from provetune.stats.multiple import noninferiority_confidence
from provetune.store import lines_of, write_atomic
from provetune.workflow import steps
from provetune.workflow.contender import Contender
from provetune.workflow.curve import stored_curve
from provetune.workflow.fairness import fairness_on_test
from provetune.workflow.licence import base_licence
from provetune.workflow.project import Project, environment
from provetune.workflow.provenance import provenance
from provetune.workflow.recipe import decide_recipe, measured_over_folds
from provetune.workflow.robustness import robustness_on_test
from provetune.workflow.roi import returns
from provetune.workflow.seeds import seed_report
from provetune.workflow.stored_votes import stored_votes


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


def prove(project: Project, results: Results, contenders: Sequence[Contender], champion: Candidate) -> tuple[Decision, Path, Path]:
    """Decision, report and evidence; the ledger is written before the first test row is read."""
    looked_at = {one.candidate.fingerprint: one.candidate for one in (*contenders, *_several(results))}
    opening = steps.opening_of(project, results.split, results.fixed, list(looked_at.values()))
    opened, number = project.store.open_test(results.split.test_file, opening)
    rows = steps.tied_together(opened)
    confidence = confidence_at(project.spec.prove.confidence, number)
    found = [one.evaluated(project, rows, "test") for one in contenders]
    used = (one.use(project, evaluation, rows) for one, evaluation in zip(contenders, found, strict=True))
    uses = tuple(use for use in used if use is not None)
    on_test = tuple(at_confidence(evaluation, confidence) for evaluation in found)
    judged_at = (tuple(f.check for f in results.audit.blockers), number, confidence)
    treated = fairness_on_test(project, results.split, contenders, champion, (rows, confidence))
    robust = robustness_on_test(project, contenders, champion, rows)
    measured = _measured(on_test, champion.name, results.rules, judged_at, (results.retention, treated))
    decision = decide(results.rules, measured)
    sheet = provenance(project, results.split, results.runs, results.augmentation)
    alike = [at_confidence(one.evaluated(project, rows, "test"), confidence) for one in _several(results)]
    spread = seed_report(project.spec.train.seeds, alike, on_test, results.rules, confidence) if alike else None
    human = stored_votes(project.folder, on_test)
    roi = returns(project, (results.plan, results.runs, uses), on_test, measured.comparisons, champion.name)
    asides = {
        "augmentation": results.augmentation,
        "learning-curve": stored_curve(project),
        "base-licence": base_licence(project),
        "provenance": sheet,
        "retention": results.retention,
        "forgetting": results.forgetting,
        "fairness": treated,
        "return-on-investment": roi,
        "seeds": spread,
        "blind-votes": human,
        "robustness": robust,
    }
    told = {
        **{search.candidate.name: search for search in results.searches},
        **{f"tuning-search-{search.method}": search for search in results.tuning_searches},
        **{f"endpoint-use-{use.candidate}": use for use in uses},
        **asides,
    }
    evidence = evidence_of(project, results, measured, on_test, decision)
    evidence = evidence.model_copy(
        update={
            "prompts_tried": _tried(results, contenders),
            "retention": results.retention,
            "fairness": treated,
            "roi": roi,
            "seeds": spread,
            "human": human,
            "records": evidence.records | {name: record.fingerprint for name, record in told.items() if record is not None},
        }
    )
    return decision, *write_proof(project, results, (evidence, sheet, uses, robust), rows)


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


def recompute(evidence: Evidence) -> Decision:
    """The decision once more, from the observations in the evidence alone; EvidenceError where it differs from the stored one."""
    stored = evidence.decision
    judged_at = (evidence.audit_blockers, stored.opening, stored.confidence)
    if evidence.folds is not None:
        folds, out_of_fold = evidence.folds, [e for e in evidence.evaluations if e.part == "test"]
        again = decide_recipe(evidence.rules, measured_over_folds(out_of_fold, evidence.champion, folds.fold_of, judged_at), folds.folds)
    else:
        on_test = tuple(at_confidence(e, stored.confidence) for e in evidence.evaluations if e.part == "test")
        measured = _measured(on_test, evidence.champion, evidence.rules, judged_at, (evidence.retention, evidence.fairness))
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


def _measured(
    on_test: Sequence[Evaluation],
    champion: str,
    rules: Sequence[GateRule],
    judged_at: tuple[Sequence[str], int, float],
    reports: tuple[RetentionReport | None, FairnessReport | None] = (None, None),
) -> Measured:
    blockers, number, confidence = judged_at
    best = next((e for e in on_test if e.candidate.name == champion), None)
    if best is None:
        raise EvidenceError(f"{champion} was not measured on the test split; run `provetune prove` again")
    others = [e for e in on_test if e is not best]
    # calibration is known only of candidates whose labels were scored
    shared = [(other, metric) for other in others for metric in best.metrics if metric in other.metrics]
    comparisons: list[Comparison] = [compare(best, other, metric, confidence) for other, metric in shared]
    not_worse = {(rule.baseline, rule.metric) for rule in rules if rule.kind == "not_worse_than"}
    one_sided = noninferiority_confidence(confidence)
    comparisons += [compare(best, other, metric, one_sided) for other, metric in shared if (other.candidate.name, metric) in not_worse]
    kept, treated = reports
    skills = () if kept is None else tuple(again(skill) for skill in kept.skills)
    return Measured(best, others, comparisons, blockers, number, confidence, skills, _panels_again(treated, on_test, confidence))


def _panels_again(treated: FairnessReport | None, on_test: Sequence[Evaluation], confidence: float) -> tuple[FairnessPanel, ...]:
    if treated is None:
        return ()
    found = {e.candidate.name: e for e in on_test}
    before, after = found[treated.baseline], found[treated.candidate]
    return tuple(panel_again(panel, before, after, confidence) for panel in treated.panels)


def _several(results: Results) -> tuple[Contender, ...]:
    """The chosen recipe under all its seeds, where there are several."""
    return results.over_seeds if len(results.over_seeds) > 1 else ()


def _tried(results: Results, contenders: Sequence[Contender]) -> dict[str, int]:
    """Prompts among which each contender was chosen on validation: each one more buys luck."""
    searched = {search.candidate.name: len(search.trials) for search in results.searches}
    return {one.candidate.name: sum(searched.get(e.candidate.name, 1) for e in one.measured) for one in contenders}


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
    predictions = {e.candidate.name: _texts(project.folder / e.predictions_file) for e in evidence.evaluations if e.part == "test"}
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
