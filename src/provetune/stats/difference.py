"""The one paired comparison: candidate minus baseline on the same examples, whatever the metric."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from provetune.stats.binary import mcnemar_mid_p, paired_shares
from provetune.stats.corpus import aggregate_interval, approximate_randomization_p, paired_aggregate_difference
from provetune.stats.estimate import Estimate
from provetune.stats.measure import Measure
from provetune.stats.proportion import clopper_pearson
from provetune.stats.resampling import mean_interval, paired_mean_difference, sign_flip_p
from provetune.stats.units import FLAT, FloatArray, IntArray, Resampling, numbered_groups


@dataclass(frozen=True)
class PairedResult:
    """Candidate minus baseline; `p_value` is two-sided and None where nothing was measured; counts are rows."""

    difference: Estimate
    p_value: float | None
    p_method: str
    wins: int
    ties: int
    losses: int

    def mirrored(self) -> PairedResult:
        """Baseline minus candidate: for metrics of which less is better."""
        d = self.difference
        turned = replace(
            d, value=None if d.value is None else -d.value, low=None if d.high is None else -d.high, high=None if d.low is None else -d.low
        )
        return replace(self, difference=turned, wins=self.losses, losses=self.wins)


def paired_difference(
    measure: Measure, candidate: FloatArray, baseline: FloatArray, groups: IntArray | None, resampling: Resampling
) -> PairedResult:
    """Compare the observations of two candidates, both [n, k] with the same examples in the same order.

    `groups` [n] numbers the group of each row; None, or groups of one row each, means that rows are independent.
    binary: Bonett-Price and McNemar's mid-p, with groups cluster bootstrap and sign flips; mean: bootstrap and sign flips;
    corpus: paired bootstrap and approximate randomization. Raises ValueError on observations that do not fit the measure.

    >>> share = lambda rows, weights: weights @ rows[:, 0] / weights.sum(axis=1)
    >>> right, wrong = np.ones((50, 1)), np.repeat([[1.0], [0.0]], [40, 10], axis=0)
    >>> result = paired_difference(Measure("binary", share), right, wrong, None, Resampling(seed=0))
    >>> str(result.difference), result.wins, result.ties, result.losses
    ('0.200 [0.073, 0.337], n=50', 10, 40, 0)
    """
    _check(measure, candidate)
    _check(measure, baseline)
    if candidate.shape != baseline.shape:
        raise ValueError(f"observations have shapes {candidate.shape} and {baseline.shape}, wanted the same rows of both")
    numbers = numbered_groups(groups, len(candidate))
    ours, theirs = _row_scores(measure, candidate, baseline)
    wins, losses = int(np.count_nonzero(ours > theirs)), int(np.count_nonzero(ours < theirs))
    if measure.kind == "corpus":
        difference = paired_aggregate_difference(measure, candidate, baseline, numbers, resampling)
        p, p_method = approximate_randomization_p(measure, candidate, baseline, numbers, resampling), "approximate randomization"
    elif measure.kind == "binary" and numbers is None:
        difference = paired_shares(wins, losses, len(ours), resampling.confidence)
        p, p_method = mcnemar_mid_p(wins, losses), "McNemar mid-p"
    else:
        difference = paired_mean_difference(ours - theirs, numbers, resampling, bounds=measure.difference_bounds)
        p, p_method = sign_flip_p(ours - theirs, numbers, resampling), "sign-flip permutation"
    measured = p if len(ours) else None
    return PairedResult(difference, measured, p_method, wins, len(ours) - wins - losses, losses)


def one_value(measure: Measure, observations: FloatArray, groups: IntArray | None, resampling: Resampling) -> Estimate:
    """The metric of one candidate from its observations [n, k], with an interval; arguments as in `paired_difference`.

    binary: Clopper-Pearson, with groups cluster bootstrap; mean: bootstrap; corpus: bootstrap of the whole metric.

    >>> share = lambda rows, weights: weights @ rows[:, 0] / weights.sum(axis=1)
    >>> str(one_value(Measure("binary", share), np.ones((20, 1)), None, Resampling(seed=0)))
    '1.000 [0.832, 1.000], n=20'
    """
    _check(measure, observations)
    numbers = numbered_groups(groups, len(observations))
    if measure.kind == "corpus":
        return aggregate_interval(measure, observations, numbers, resampling)
    scores = observations[:, 0]
    if measure.kind == "binary" and numbers is None:
        return clopper_pearson(int(np.count_nonzero(scores)), len(scores), resampling.confidence)
    return mean_interval(scores, numbers, resampling, bounds=measure.bounds)


def _row_scores(measure: Measure, candidate: FloatArray, baseline: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What decides whether a row is won: its score, or the metric of that row alone, or, where that says nothing, whether it is right."""
    if measure.kind != "corpus":
        return candidate[:, 0], baseline[:, 0]
    one = np.ones((1, 1))
    alone = [np.array([float(measure.aggregate(rows[k : k + 1], one)[0]) for k in range(len(rows))]) for rows in (candidate, baseline)]
    if len(candidate) == 0 or np.ptp(np.concatenate(alone)) > FLAT:
        return alone[0], alone[1]
    return (candidate[:, 0] == candidate[:, 1]).astype(np.float64), (baseline[:, 0] == baseline[:, 1]).astype(np.float64)


def _check(measure: Measure, observations: FloatArray) -> None:
    wanted = 2 if measure.kind == "corpus" else 1
    if observations.ndim != 2 or observations.shape[1] < wanted:
        raise ValueError(f"observations have shape {observations.shape}, wanted [n, k] with k >= {wanted} for kind {measure.kind!r}")
    if measure.kind == "binary" and not np.isin(observations[:, 0], (0.0, 1.0)).all():
        raise ValueError("found a score other than 0 and 1 in a right/wrong metric; use kind 'mean' for graded scores")
