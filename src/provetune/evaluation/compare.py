"""Candidate against baseline, on the same examples."""

from __future__ import annotations

from provetune.errors import EvidenceError
from provetune.hashing import seed_of
from provetune.metrics import metric_named
from provetune.metrics.base import Metric
from provetune.records.evaluation import Comparison, Evaluation
from provetune.scoring import group_numbers, measure_of, observation_array
from provetune.stats.difference import paired_difference
from provetune.stats.units import Resampling


def confidence_at(confidence: float, opening: int) -> float:
    """Confidence of the intervals at the k-th opening of a test split: alpha is divided by k.

    >>> round(confidence_at(0.95, 2), 3)
    0.975
    """
    return 1 - (1 - confidence) / opening


def compare(candidate: Evaluation, baseline: Evaluation, metric: str, confidence: float, rule: Metric | None = None) -> Comparison:
    """Paired difference over the examples that both have measured, positive where the candidate is better.

    `rule` is needed for a metric that is not one of METRICS. EvidenceError if their examples differ.
    """
    rule = rule or metric_named(metric)
    if candidate.example_ids != baseline.example_ids:
        raise EvidenceError(
            f"{candidate.candidate.name} and {baseline.candidate.name} were measured on different examples; "
            "a paired comparison needs the same. Run `provetune run` again"
        )
    ours, theirs = candidate.observations[metric], baseline.observations[metric]
    both = [(place, a, b) for place, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a is not None and b is not None]
    result = paired_difference(
        measure_of(rule),
        observation_array([a for _, a, _ in both]),
        observation_array([b for _, _, b in both]),
        group_numbers([candidate.group_ids[place] for place, _, _ in both]),
        Resampling(seed_of("paired difference", metric), confidence),
    )
    result = result if rule.higher_is_better else result.mirrored()
    return Comparison(
        candidate=candidate.candidate.name,
        baseline=baseline.candidate.name,
        metric=metric,
        difference=result.difference,
        p_value=result.p_value,
        p_method=result.p_method,
        wins=result.wins,
        ties=result.ties,
        losses=result.losses,
    )
