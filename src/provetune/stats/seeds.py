"""Several trainings that differ by their seed alone: how far they spread, and what holds for the recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from provetune.stats.estimate import Estimate
from provetune.stats.units import FloatArray, IntArray, check_confidence, check_measured, clipped, flat_interval, numbered_groups


@dataclass(frozen=True)
class SeedSpread:
    """What several seeds gave.

    `recipe` is the mean over seeds, for new seeds and new examples; `between_seeds` the standard deviation of one training's
    true mean, its measuring error on these examples taken out.
    """

    recipe: Estimate
    of_each_seed: tuple[float, ...]
    between_seeds: float


def seed_spread(scores: FloatArray, groups: IntArray | None, confidence: float, *, bounds: tuple[float, float]) -> SeedSpread:
    """Spread of `scores` [seeds, n], scores or paired differences on the same examples, with seeds and examples both drawn at random.

    Crossed random effects: var = (MS_seeds - MS_rest) / (S n) + MS_examples / (S n), each part with its own Student's t
    (Zou & Donner 2008); one t with Satterthwaite's degrees of freedom covers 91 % where three seeds spread widely, this 95 %.
    With `groups` [n] whole groups are the examples. A claim about a recipe wants three seeds or more; two cover 93 %. Raises
    ValueError on fewer than two seeds or two units, or numbers that are not finite.

    >>> rows = np.random.default_rng(0).normal([[0.1], [0.2], [0.3]], 0.2, (3, 400))
    >>> found = seed_spread(rows, None, 0.95, bounds=(-1, 1))
    >>> str(found.recipe), round(found.between_seeds, 2)
    ('0.194 [-0.052, 0.439], n=400', 0.1)
    """
    check_confidence(confidence)
    check_measured(scores, bounds)
    numbers = numbered_groups(groups, scores.shape[1])
    mean = float(scores.mean())
    if numbers is not None:
        # a group's share of the mean, as one number per group
        sums = np.stack([np.bincount(numbers, weights=row - mean) for row in scores])
        units = sums * sums.shape[1] / scores.shape[1] + mean
    else:
        units = scores
    seeds, count = units.shape
    if seeds < 2 or count < 2:
        raise ValueError(f"found {seeds} seeds and {count} examples, wanted 2 or more of each")
    by_seed, by_unit = units.mean(axis=1), units.mean(axis=0)
    rest = units - by_seed[:, None] - by_unit[None, :] + mean
    of_seeds = count * float(by_seed.var(ddof=1))
    of_units = seeds * float(by_unit.var(ddof=1))
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (count - 1))
    tail = (1 + confidence) / 2
    wide = stdtrit(seeds - 1, tail) ** 2 * max(0.0, of_seeds - of_rest) + stdtrit(count - 1, tail) ** 2 * of_units
    half = math.sqrt(float(wide) / (seeds * count))
    low, high = (mean - half, mean + half) if half > 0 else flat_interval(mean, count, bounds, confidence)
    low, high = clipped(low, high, bounds)
    method = f"{'' if numbers is None else 'cluster '}crossed random effects, {seeds} seeds"
    recipe = Estimate(mean, low, high, count, confidence, method)
    return SeedSpread(recipe, tuple(float(value) for value in by_seed), math.sqrt(max(0.0, (of_seeds - of_rest) / count)))
