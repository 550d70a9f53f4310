"""The verdict on a recipe, from out-of-fold observations alone: the same from a run and from an evidence file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provetune.errors import EvidenceError
from provetune.evaluation import compare_over_folds, summary_over_folds
from provetune.gate import Measured, decide
from provetune.metrics import METRICS
from provetune.records.evaluation import Decision, Evaluation, GateRule
from provetune.stats.power import examples_for_gain

RECIPE = "recipe"
"""What the tuned models of all folds are called together."""
TEST_SHARE = 0.5
"""Largest share of the rows that an automatic test split takes."""


def summarised(evaluation: Evaluation, fold_of: Mapping[str, int], confidence: float) -> Evaluation:
    """The same out-of-fold observations, summarised at another confidence."""
    summary = {name: summary_over_folds(evaluation, fold_of, name, confidence) for name in evaluation.observations}
    return evaluation.model_copy(update={"summary": summary})


def measured_over_folds(
    on_test: Sequence[Evaluation], champion: str, fold_of: Mapping[str, int], judged_at: tuple[Sequence[str], int, float]
) -> Measured:
    """What the rules are held against; `judged_at`: blockers of the audit, opening, confidence. EvidenceError without the champion."""
    blockers, number, confidence = judged_at
    best = next((e for e in on_test if e.candidate.name == champion), None)
    if best is None:
        raise EvidenceError(f"{champion} was not measured out of its folds; run `provetune prove` again")
    others = [e for e in on_test if e is not best]
    metrics = [name for name in best.metrics if METRICS[name].kind != "corpus"]
    comparisons = [
        compare_over_folds(best, other, fold_of, metric, confidence) for other in others for metric in metrics if metric in other.metrics
    ]
    return Measured(best, others, comparisons, blockers, number, confidence)


def decide_recipe(rules: Sequence[GateRule], measured: Measured, folds: int) -> Decision:
    """The decision, which speaks of the recipe: no set of weights is proven by it."""
    found = decide(rules, measured)
    step = found.next_step
    if found.outcome == "ship":
        step = "Train on all rows by this recipe with `provetune run --final`; those weights are not proven by themselves."
    elif found.outcome == "inconclusive":
        step = step.replace("test examples", "examples")
    sentence = f"Proof of the recipe over {folds} folds, not of one set of weights: {found.sentence}"
    return found.model_copy(update={"sentence": sentence, "next_step": step})


def outlook(rows: int, measured: Measured, rules: Sequence[GateRule]) -> str:
    """What more rows would allow: a test split of its own, and with it a proof of the weights that ship."""
    margins = {(rule.baseline, rule.metric): rule.margin for rule in rules if rule.kind == "beats_baseline"}
    compared = [c for c in measured.comparisons if (c.baseline, c.metric) in margins and c.difference.value is not None]
    nearest = min(compared, key=lambda c: c.difference.value or 0.0, default=None)
    general = "With a test split of its own one set of weights can be proven, not the recipe alone."
    if nearest is None or nearest.difference.value is None:
        return general
    gain, margin = nearest.difference.value, margins[nearest.baseline, nearest.metric]
    differing = (nearest.wins + nearest.losses) / max(1, nearest.wins + nearest.ties + nearest.losses)
    if gain <= margin or gain > differing:
        return f"{general} The gain over {nearest.baseline} is {gain:.3f}, which no number of rows would show to be above {margin:g}."
    test = examples_for_gain(gain, differing, margin=margin)
    return (
        f"{general} A gain of {gain:.3f} over {nearest.baseline}, as seen here, needs about {test:,} test rows: "
        f"{max(rows, round(test / TEST_SHARE)):,} rows in all; there are {rows:,}."
    )
