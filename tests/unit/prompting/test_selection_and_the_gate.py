"""Choosing among many prompts fakes no win: how often the gate says "ship" where tuned and prompts are in truth equally good."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import binom

from provetune.gate import Measured, decide
from provetune.prompting.halving import rungs
from provetune.records.evaluation import Comparison, GateRule
from provetune.stats.binary import bonett_price
from provetune.stats.units import FloatArray
from tests.unit.records_by_hand import evaluation_of

GAMES = 2_500
PROMPTS, TUNED, ROWS = 30, 5, 400
TRUE_ACCURACY, CORRELATION = 0.7, 0.6
NOMINAL = 0.025
"""One side of the two-sided 95 % interval that the rule reads."""


def answers(generator: np.random.Generator) -> FloatArray:
    """Right or wrong [candidates, rows] of equally good candidates that share the rows' difficulty (Gaussian copula)."""
    own = generator.standard_normal((PROMPTS + TUNED, ROWS))
    latent = np.sqrt(CORRELATION) * generator.standard_normal(ROWS) + np.sqrt(1 - CORRELATION) * own
    right: FloatArray = (latent < ndtri(TRUE_ACCURACY)).astype(np.float64)
    return right


def chosen_prompt(right: FloatArray) -> int:
    """The winner of the search's own rungs."""
    alive = np.arange(PROMPTS)
    plan = rungs(PROMPTS, ROWS)
    for (size, _), (_, kept) in zip(plan, [*plan[1:], (0, 1)], strict=True):
        alive = alive[np.argsort(-right[alive, :size].mean(axis=1), kind="stable")][:kept]
    return int(alive[0])


def shipped(tuned: FloatArray, prompt: FloatArray, margin: float) -> bool:
    wins, losses = int((tuned > prompt).sum()), int((tuned < prompt).sum())
    comparison = Comparison(
        candidate="tuned",
        baseline="prompt-search",
        metric="accuracy",
        difference=bonett_price(wins, losses, len(tuned)),
        p_value=None,
        p_method="by hand",
        wins=wins,
        ties=len(tuned) - wins - losses,
        losses=losses,
    )
    rule = GateRule(name="better", kind="beats_baseline", metric="accuracy", baseline="prompt-search", margin=margin)
    return decide([rule], Measured(evaluation_of("tuned", rows=ROWS), [], [comparison], [], 1, 0.95)).outcome == "ship"


@pytest.fixture(scope="module")
def games() -> dict[str, float]:
    """Shares of games that end in "ship": tuned (the best of five trials) and prompt (the search's winner) chosen on validation."""
    generator = np.random.default_rng(11)
    counts = dict.fromkeys(("test, margin 0", "test, margin 0.02", "validation, margin 0"), 0)
    for _ in range(GAMES):
        validation, test = answers(generator), answers(generator)
        prompt, tuned = chosen_prompt(validation), PROMPTS + int(validation[PROMPTS:].mean(axis=1).argmax())
        counts["test, margin 0"] += shipped(test[tuned], test[prompt], 0.0)
        counts["test, margin 0.02"] += shipped(test[tuned], test[prompt], 0.02)
        counts["validation, margin 0"] += shipped(validation[tuned], validation[0], 0.0)
    return {name: count / GAMES for name, count in counts.items()}


@pytest.mark.parametrize("margin", ["0", "0.02"])
def test_equal_candidates_ship_no_more_often_than_the_level_allows(games: dict[str, float], margin: str) -> None:
    # at a true rate of exactly the level, one seed in a thousand would fail
    assert games[f"test, margin {margin}"] <= binom.ppf(0.999, GAMES, NOMINAL) / GAMES


def test_the_margin_makes_a_false_ship_rare(games: dict[str, float]) -> None:
    assert games["test, margin 0.02"] < games["test, margin 0"] / 2


def test_the_rows_that_chose_would_ship_falsely(games: dict[str, float]) -> None:
    # the same games judged where the choice was made: what the sealed test rows are for
    assert games["validation, margin 0"] > 2 * NOMINAL
