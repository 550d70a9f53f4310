"""The decision on one set of weights from observations alone: the same from a run and from an evidence file."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.errors import EvidenceError
from provetune.evaluation import compare
from provetune.evaluation.by_slice import again as panel_again
from provetune.evaluation.retention import again
from provetune.gate import Measured, decide
from provetune.records.evaluation import Comparison, Decision, Evaluation, Evidence, GateRule
from provetune.records.fairness import FairnessPanel, FairnessReport
from provetune.records.retention import RetentionReport
from provetune.scoring import estimate_of
from provetune.stats.multiple import noninferiority_confidence
from provetune.workflow.recipe import decide_recipe, measured_over_folds


def recompute(evidence: Evidence) -> Decision:
    """The decision once more, from the observations in the evidence alone; EvidenceError where it differs from the stored one."""
    stored = evidence.decision
    judged_at = (evidence.audit_blockers, stored.opening, stored.confidence)
    if evidence.folds is not None:
        folds, out_of_fold = evidence.folds, [e for e in evidence.evaluations if e.part == "test"]
        again = decide_recipe(evidence.rules, measured_over_folds(out_of_fold, evidence.champion, folds.fold_of, judged_at), folds.folds)
    else:
        on_test = tuple(at_confidence(e, stored.confidence) for e in evidence.evaluations if e.part == "test")
        measured = measured_on_test(on_test, evidence.champion, evidence.rules, judged_at, (evidence.retention, evidence.fairness))
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


def measured_on_test(
    on_test: Sequence[Evaluation],
    champion: str,
    rules: Sequence[GateRule],
    judged_at: tuple[Sequence[str], int, float],
    reports: tuple[RetentionReport | None, FairnessReport | None] = (None, None),
) -> Measured:
    """What the rules are held against; `judged_at`: blockers of the audit, opening, confidence. EvidenceError without the champion."""
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
