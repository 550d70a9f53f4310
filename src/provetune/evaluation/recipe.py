"""Claims about a recipe instead of one artefact: several seeds of training, or a training per fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from provetune.errors import EvidenceError
from provetune.metrics import metric_named
from provetune.records.evaluation import Comparison, Evaluation
from provetune.scoring import estimate_of, group_numbers, measure_of
from provetune.stats.estimate import Estimate
from provetune.stats.folds import fold_difference
from provetune.stats.seeds import SeedSpread, seed_spread
from provetune.stats.units import FloatArray


def over_seeds(candidates: Sequence[Evaluation], baseline: Evaluation, metric: str, confidence: float) -> SeedSpread:
    """Difference to the baseline of each of several trainings that differ by their seed, and of the recipe; positive is better.

    Stands beside the verdict on the artefact and never replaces it. EvidenceError on other examples or a metric of all rows at once.
    """
    differences, groups = _differences(candidates, baseline, metric)
    return seed_spread(differences, group_numbers(groups), confidence, bounds=measure_of(metric_named(metric)).difference_bounds)


def over_folds(candidate: Evaluation, baseline: Evaluation, fold_of: Mapping[str, int], metric: str, confidence: float) -> Estimate:
    """Difference of out-of-fold predictions to the baseline on the same examples; `fold_of` names the fold of each example id.

    It proves the recipe, trained on all folds but one. EvidenceError as `over_seeds`, and on an example without a fold.
    """
    missing = [name for name in candidate.example_ids if name not in fold_of]
    if missing:
        raise EvidenceError(
            f"example {missing[0]} is in no fold, and so are {len(missing) - 1:,} more; every example is scored out of its fold"
        )
    differences, groups = _differences([candidate], baseline, metric)
    folds = np.array([fold_of[name] for name in _measured_ids([candidate, baseline], metric)], dtype=np.int64)
    bounds = measure_of(metric_named(metric)).difference_bounds
    return fold_difference(differences[0], folds, group_numbers(groups), confidence, bounds=bounds)


def compare_over_folds(
    candidate: Evaluation, baseline: Evaluation, fold_of: Mapping[str, int], metric: str, confidence: float
) -> Comparison:
    """`over_folds` as a comparison: the interval decides, there is no p-value. EvidenceError as there."""
    differences, _ = _differences([candidate], baseline, metric)
    return Comparison(
        candidate=candidate.candidate.name,
        baseline=baseline.candidate.name,
        metric=metric,
        difference=over_folds(candidate, baseline, fold_of, metric, confidence),
        p_value=None,
        p_method="none over folds",
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
    )


def summary_over_folds(evaluation: Evaluation, fold_of: Mapping[str, int], metric: str, confidence: float) -> Estimate:
    """The metric's out-of-fold value; without an interval where it is no mean of scores of examples."""
    rule = metric_named(metric)
    if rule.kind == "corpus":
        value = estimate_of(evaluation, metric, confidence)
        return replace(value, low=None, high=None, method="value only, over folds")
    rows = zip(evaluation.example_ids, evaluation.group_ids, evaluation.observations[metric], strict=True)
    kept = [(name, group, row[0]) for name, group, row in rows if row is not None]
    folds = np.array([fold_of[name] for name, _, _ in kept], dtype=np.int64)
    scores, groups = np.array([score for _, _, score in kept]), group_numbers([group for _, group, _ in kept])
    return fold_difference(scores, folds, groups, confidence, bounds=rule.bounds)


def _differences(candidates: Sequence[Evaluation], baseline: Evaluation, metric: str) -> tuple[FloatArray, list[str]]:
    """Differences [candidates, n] on the rows that all have measured, and their groups."""
    rule = metric_named(metric)
    if rule.kind == "corpus":
        raise EvidenceError(f"{metric} is no mean of scores of examples; name accuracy, exact_match, rouge_l or another that is")
    if any(one.example_ids != baseline.example_ids for one in candidates):
        raise EvidenceError(
            f"the trainings and {baseline.candidate.name} were measured on different examples; a paired comparison needs the same"
        )
    kept = set(_measured_ids([*candidates, baseline], metric))
    places = [place for place, name in enumerate(baseline.example_ids) if name in kept]
    scores = np.array([[(one.observations[metric][place] or (0.0,))[0] for place in places] for one in (*candidates, baseline)])
    sign = 1.0 if rule.higher_is_better else -1.0
    return sign * (scores[:-1] - scores[-1]), [baseline.group_ids[place] for place in places]


def _measured_ids(evaluations: Sequence[Evaluation], metric: str) -> list[str]:
    ids = evaluations[0].example_ids
    return [name for place, name in enumerate(ids) if all(one.observations[metric][place] is not None for one in evaluations)]
