"""Which baselines are beaten, one by one; and how much two prompts differ, which says what the test split can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provetune.evaluation.compare import compare
from provetune.records.evaluation import Comparison, Evaluation
from provetune.stats.estimate import Estimate
from provetune.stats.multiple import holm, simultaneous_confidence
from provetune.stats.proportion import clopper_pearson


@dataclass(frozen=True)
class SeparateClaim:
    """A comparison whose interval holds together with those of its family, and Holm's adjusted p; None where nothing was measured."""

    comparison: Comparison
    adjusted_p: float | None


def separate_claims(candidate: Evaluation, baselines: Sequence[Evaluation], metric: str, confidence: float) -> tuple[SeparateClaim, ...]:
    """Compare with each baseline so that naming those that are beaten errs anywhere with 1 - `confidence` at most.

    "Better than every one" needs none of this (Berger 1982); naming *which* does.
    """
    found = [compare(candidate, baseline, metric, simultaneous_confidence(confidence, len(baselines))) for baseline in baselines]
    measured = [one.p_value for one in found if one.p_value is not None]
    adjusted = iter(holm(measured))
    return tuple(SeparateClaim(one, None if one.p_value is None else next(adjusted)) for one in found)


def discordance(first: Evaluation, second: Evaluation, metric: str, confidence: float = 0.95) -> Estimate:
    """Share of the examples that exactly one of the two got right (or better); of two prompts on validation it plans the proof."""
    found = compare(first, second, metric, confidence)
    differ = found.wins + found.losses
    return clopper_pearson(differ, differ + found.ties, confidence)
