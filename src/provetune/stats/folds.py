"""Small data: what a recipe gains over a baseline, from trainings on all folds but one."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

from provetune.stats.estimate import Estimate
from provetune.stats.units import FloatArray, IntArray, check_confidence, check_measured, clipped, flat_interval, numbered_groups

MIN_FOLDS = 5


def fold_difference(
    differences: FloatArray, folds: IntArray, groups: IntArray | None, confidence: float, *, bounds: tuple[float, float]
) -> Estimate:
    """Mean of out-of-fold paired `differences` [n], each row scored by the training that did not see its fold (`folds` [n]).

    No unbiased variance exists, as trainings share rows (Bengio & Grandvalet 2004). Taken is the larger of the standard error over
    rows (or `groups`) and the one over folds, with Student's t of folds - 1: in simulations with stable, noisy, nearest-neighbour and
    now and then failing learners it covers 96 % or more at 95 %, where rows alone fall to 68 % and folds alone to 87 %; the corrected
    variance of Nadeau & Bengio (2003) covers as much with intervals up to 50 % wider. It speaks of the recipe trained on
    (folds - 1) / folds of the rows, not of one artefact. Raises ValueError on fewer than `MIN_FOLDS` folds, a group in two folds, or
    numbers that are not finite.

    >>> gains = np.tile([0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 1.0], 25)
    >>> str(fold_difference(gains, np.arange(200) % 5, None, 0.95, bounds=(-1, 1)))
    '0.250 [0.120, 0.380], n=200'
    """
    check_confidence(confidence)
    check_measured(differences, bounds)
    _, parts = np.unique(folds, return_inverse=True)
    count = int(parts.max(initial=-1)) + 1
    if folds.shape != differences.shape or count < MIN_FOLDS:
        raise ValueError(
            f"found {count} folds for {len(differences)} rows, wanted one fold number for each row and {MIN_FOLDS} folds or more"
        )
    numbers = numbered_groups(groups, len(differences))
    if numbers is not None and len(np.unique(np.stack([numbers, parts]), axis=1).T) > numbers.max() + 1:
        raise ValueError("found rows of one group in two folds, wanted each group within one fold")
    mean = float(differences.mean())
    units = np.arange(len(differences)) if numbers is None else numbers
    error = max(_standard_error(differences - mean, units), _standard_error(differences - mean, parts))
    total = int(units.max()) + 1
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    low, high = (mean - half, mean + half) if error > 0 else flat_interval(mean, total, bounds, confidence)
    low, high = clipped(low, high, bounds)
    return Estimate(mean, low, high, total, confidence, f"{'' if numbers is None else 'cluster '}{count} folds, t")


def _standard_error(residuals: FloatArray, units: IntArray) -> float:
    """Of the mean, with rows of a unit taken together (Miller 2024)."""
    sums = np.bincount(units, weights=residuals)
    count = len(sums)
    return math.sqrt(count / (count - 1) * float((sums**2).sum())) / len(residuals)
