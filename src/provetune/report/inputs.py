"""What a report is written from, and the few questions every section asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provetune.records.augmentation import AugmentationReport
from provetune.records.bases import BaseLicence
from provetune.records.candidate import Plan, TrainingRun
from provetune.records.curve import LearningCurve
from provetune.records.data import AuditReport, Example, Split
from provetune.records.endpoint import EndpointUse
from provetune.records.evaluation import Comparison, Evaluation, Evidence
from provetune.records.forgetting import ForgettingReport
from provetune.records.prompt_search import PromptSearch
from provetune.records.provenance import Provenance
from provetune.records.robustness import RobustnessReport
from provetune.records.tuning_search import TuningSearch
from provetune.stats.estimate import Estimate

NOT_MEASURED = Estimate(None, None, None, 0, 0.95, "not measured")


@dataclass(frozen=True)
class ReportInputs:
    """All records of one run. `examples` holds the test rows by id, `predictions` the texts by candidate and example id.

    `overrides` are the settings that were given with `--set`.
    """

    evidence: Evidence
    audit: AuditReport
    split: Split
    plan: Plan
    runs: tuple[TrainingRun, ...]
    examples: Mapping[str, Example]
    predictions: Mapping[str, Mapping[str, str | None]]
    augmentation: AugmentationReport | None = None
    curve: LearningCurve | None = None
    provenance: Provenance | None = None
    searches: tuple[PromptSearch, ...] = ()
    tuning_searches: tuple[TuningSearch, ...] = ()
    endpoints: tuple[EndpointUse, ...] = ()
    robustness: RobustnessReport | None = None
    forgetting: ForgettingReport | None = None
    overrides: tuple[str, ...] = ()
    licence: BaseLicence | None = None


def evaluations_on_test(evidence: Evidence) -> tuple[Evaluation, ...]:
    """Evaluations on the test split, the champion first."""
    tests = [e for e in evidence.evaluations if e.part == "test"]
    return tuple(sorted(tests, key=lambda e: e.candidate.name != evidence.champion))


def champion_evaluation(evidence: Evidence) -> Evaluation | None:
    """The champion on the test split, or None where it was not measured."""
    return next((e for e in evaluations_on_test(evidence) if e.candidate.name == evidence.champion), None)


def deciding_metric(evidence: Evidence) -> str:
    """The metric of the rules "better than the baseline"; else the one fixed before training; else the first measured."""
    for rule in evidence.rules:
        if rule.kind == "beats_baseline" and rule.metric:
            return rule.metric
    if evidence.fixed_before_training.get("metric"):
        return evidence.fixed_before_training["metric"]
    return next((name for e in evaluations_on_test(evidence) for name in e.metrics), "")


def margin_against(evidence: Evidence, baseline: str) -> float | None:
    """The margin by which the champion had to beat this baseline; None where no rule asks for it."""
    found = (r.margin for r in evidence.rules if r.kind == "beats_baseline" and r.baseline == baseline)
    return next(found, None)


def deciding_comparisons(evidence: Evidence) -> tuple[Comparison, ...]:
    """Champion against each other candidate, on the deciding metric."""
    metric = deciding_metric(evidence)
    return tuple(c for c in evidence.comparisons if c.candidate == evidence.champion and c.metric == metric)


def best_prompt(evidence: Evidence) -> Evaluation | None:
    """The prompt with the highest deciding score on the test split."""
    metric = deciding_metric(evidence)
    prompts = [e for e in evaluations_on_test(evidence) if e.candidate.kind == "prompt" and e.candidate.name != evidence.champion]
    scored = [(e.summary[metric].value, e) for e in prompts if metric in e.summary]
    measured = [(value, e) for value, e in scored if value is not None]
    return max(measured, key=lambda pair: pair[0])[1] if measured else None
