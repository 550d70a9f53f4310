"""Several seeds of one recipe: how far the outcome spreads, beside the verdict on the one that was chosen."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.evaluation import over_seeds
from provetune.metrics import METRICS
from provetune.records.evaluation import Evaluation, GateRule, SeedReport, SpreadAgainst


def seed_name(name: str, seed: int, first: int) -> str:
    """What a training is called; the first seed's keeps its plain name.

    >>> seed_name("lora", 1, 1), seed_name("lora", 3, 1)
    ('lora', 'lora-seed-3')
    """
    return name if seed == first else f"{name}-seed-{seed}"


def seed_report(
    seeds: Sequence[int], evaluations: Sequence[Evaluation], on_test: Sequence[Evaluation], rules: Sequence[GateRule], confidence: float
) -> SeedReport | None:
    """The spread against each baseline that a rule names; None with one seed. A metric of all rows at once has no spread against them."""
    deciding = [rule for rule in rules if rule.kind == "beats_baseline"]
    if len(seeds) < 2 or not deciding:
        return None
    metric, named = deciding[0].metric, {e.candidate.name: e for e in on_test}
    against = []
    for rule in deciding if METRICS[metric].kind != "corpus" else ():
        found = over_seeds(evaluations, named[rule.baseline], metric, confidence)
        against.append(
            SpreadAgainst(baseline=rule.baseline, recipe=found.recipe, of_each_seed=found.of_each_seed, between_seeds=found.between_seeds)
        )
    return SeedReport(metric=metric, seeds=tuple(seeds), evaluations=tuple(evaluations), against=tuple(against))
