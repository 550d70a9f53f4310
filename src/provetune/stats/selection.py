"""The winner's curse: what the best of several candidates owes to having been chosen on the rows that score it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from provetune.stats.estimate import Estimate
from provetune.stats.measure import Measure
from provetune.stats.units import FloatArray, IntArray, check_confidence, chunks, not_measured, numbered_groups, unit_count

DRAWS = 2_000
METHOD = "simulated choice among equals"


def joint_deviations(measure: Measure, candidates: Sequence[FloatArray], groups: IntArray | None, seed: int) -> FloatArray:
    """How the scores of k candidates on the same rows would stray together from their means: [draws, k], by the bootstrap.

    `candidates` are their observations, [n, c] each, rows in the same order; with `groups` [n] whole groups are drawn. Raises
    ValueError where the rows are not as many for each of them.
    """
    rows = len(candidates[0]) if candidates else 0
    if any(len(observations) != rows for observations in candidates):
        raise ValueError(f"found {sorted({len(o) for o in candidates})} rows, wanted the same rows of every candidate")
    if not rows:
        return np.zeros((DRAWS, len(candidates)))
    numbers = numbered_groups(groups, rows)
    units = unit_count(numbers, rows)
    generator = np.random.default_rng(seed)
    parts = []
    for size in chunks(DRAWS, rows):
        weights = generator.multinomial(units, np.full(units, 1 / units), size=size).astype(np.float64)
        weights = weights if numbers is None else weights[:, numbers]
        parts.append(np.stack([measure.aggregate(observations, weights) for observations in candidates], axis=1))
    values = np.concatenate(parts)
    deviations: FloatArray = values - values.mean(axis=0)
    return deviations


def free_gain(deviations: FloatArray, rows: int, rungs: Sequence[tuple[int, int]], seed: int, confidence: float = 0.95) -> Estimate:
    """Score that the winner of a choice owes to chance if all k candidates are in truth equal; higher scores win.

    `deviations` [draws, k] are those of `joint_deviations` at `rows` rows. `rungs` are (rows that a score rests on, candidates kept
    by it), rows growing: `[(n, 1)]` is the plain best of k on n rows. The estimate holds the mean and, as low and high, where the
    gain of one choice lies with this confidence. Raises ValueError on rungs that do not grow.

    >>> fair = np.random.default_rng(0).normal(0, 0.458 / 10, (2000, 3))
    >>> str(free_gain(fair, 100, [(100, 1)], seed=0))
    '0.039 [-0.025, 0.109], n=100'
    """
    check_confidence(confidence)
    if any(later[0] <= before[0] for before, later in zip(rungs, rungs[1:], strict=False)):
        raise ValueError(f"rungs rest on {[size for size, _ in rungs]} rows, wanted growing numbers")
    if rows < 1 or not deviations.size or not rungs:
        return not_measured(confidence, METHOD)
    generator = np.random.default_rng(seed)
    scores, waiting, seen = np.zeros_like(deviations), np.zeros(deviations.shape, dtype=bool), 0
    for size, kept in rungs:
        fresh = deviations[generator.permutation(len(deviations))] * np.sqrt(rows / (size - seen))
        scores = (seen * scores + (size - seen) * fresh) / size
        order = np.argsort(np.where(waiting, -np.inf, scores), axis=1)
        np.put_along_axis(waiting, order[:, :-kept], True, axis=1)
        seen = size
    winners = np.where(waiting, -np.inf, scores).max(axis=1)
    low, high = np.quantile(winners, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(winners.mean()), float(low), float(high), seen, confidence, METHOD)
