"""Several seeds: statsmodels' variance components, coverage for new seeds, one seed's spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas  # type: ignore[import-untyped]
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from provetune.stats.seeds import seed_spread
from tests.unit.stats.known import known

SIGNED = (-1.0, 1.0)


def scores(generator: np.random.Generator, seeds: int, n: int, of_seed: float) -> Any:
    return (0.1 + of_seed * generator.normal(size=(seeds, 1)) + generator.normal(0, 0.2, n) + generator.normal(0, 0.1, (seeds, n))).clip(
        -1, 1
    )


def test_the_component_of_the_seeds_agrees_with_statsmodels() -> None:
    rows = scores(np.random.default_rng(0), 4, 30, 0.1)
    table = pandas.DataFrame({"score": rows.ravel(), "seed": np.repeat(np.arange(4), 30), "row": np.tile(np.arange(30), 4)})
    mean_squares = anova_lm(ols("score ~ C(seed) + C(row)", table).fit())["mean_sq"]
    found = seed_spread(rows, None, 0.95, bounds=SIGNED)
    assert found.between_seeds**2 == pytest.approx((mean_squares["C(seed)"] - mean_squares["Residual"]) / 30)


@pytest.mark.parametrize("of_seed", [0.0, 0.03, 0.1])
def test_the_recipe_is_covered_for_new_seeds_and_examples(of_seed: float) -> None:
    generator, inside = np.random.default_rng(1), 0
    for _ in range(400):
        _, low, high = known(seed_spread(scores(generator, 3, 60, of_seed), None, 0.95, bounds=SIGNED).recipe)
        inside += low <= 0.1 <= high
    assert inside / 400 >= 0.92


def test_groups_of_copies_count_once() -> None:
    rows = scores(np.random.default_rng(2), 3, 40, 0.05)
    once = seed_spread(rows, None, 0.95, bounds=SIGNED)
    copied = seed_spread(np.repeat(rows, 4, axis=1), np.repeat(np.arange(40), 4), 0.95, bounds=SIGNED)
    assert known(copied.recipe) == pytest.approx(known(once.recipe)) and copied.recipe.n == 40
    assert copied.between_seeds == pytest.approx(once.between_seeds)


def test_the_same_scores_at_every_seed_leave_the_error_of_the_examples() -> None:
    row = np.random.default_rng(3).normal(0.1, 0.2, 50)
    found = seed_spread(np.stack([row] * 3), None, 0.95, bounds=SIGNED)
    value, low, high = known(found.recipe)
    assert found.between_seeds == 0.0 and found.of_each_seed == pytest.approx((value,) * 3)
    assert (high - low) / 2 == pytest.approx(2.0096 * row.std(ddof=1) / np.sqrt(50), rel=1e-3)


def test_flat_and_too_few() -> None:
    assert known(seed_spread(np.zeros((3, 40)), None, 0.95, bounds=SIGNED).recipe)[1] < -0.05
    with pytest.raises(ValueError, match="found 1 seeds"):
        seed_spread(np.zeros((1, 40)), None, 0.95, bounds=SIGNED)
