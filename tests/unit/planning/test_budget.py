"""What a budget in hours and dollars leaves for each training."""

from __future__ import annotations

import math

import pytest

from provetune.planning.budget import budget_left, budget_limit, search_seconds
from provetune.records.candidate import ModelRef, Plan, PlanOption
from provetune.spec import BudgetSpec, ProjectSpec
from provetune.stats.estimate import Estimate


def known(value: float) -> Estimate:
    return Estimate(value, value, value, 1, 0.95, "by hand")


def plan_at(usd_per_hour: float) -> Plan:
    """LoRA takes four hours."""
    option = PlanOption(
        method="lora",
        fits="fits",
        memory_gib=known(1.0),
        duration_h=known(4.0),
        cost_usd=known(4.0 * usd_per_hour),
        trainable_parameters=1,
    )
    return Plan(
        model=ModelRef(name="m", revision="main", parameters=1, context_length=10, weights_sha256="0", template="0"),
        hardware="one GPU",
        memory_available_gib=1.0,
        tokens_per_epoch=1,
        options=(option,),
        chosen=("lora",),
        hyperparameters={},
        why={},
        assumptions=(),
        prices_as_of="2026-01-01",
    )


@pytest.mark.parametrize(
    ("budget", "usd_per_hour", "seconds", "words"),
    [
        ({}, 2.0, math.inf, "there is no limit"),
        ({"max_hours": 3.0}, 2.0, 1.5 * 3600, "budget.max_hours of 3 h is used up"),
        ({"max_usd": 5.0}, 2.0, 1.25 * 3600, "budget.max_usd of 5 $ is used up at 2.00 $ an hour"),
        ({"max_hours": 3.0, "max_usd": 5.0}, 2.0, 1.25 * 3600, "budget.max_usd of 5 $ is used up at 2.00 $ an hour"),
        ({"max_hours": 2.0, "max_usd": 5.0}, 2.0, 3600, "budget.max_hours of 2 h is used up"),
        ({"max_usd": 5.0}, 0.0, math.inf, "there is no limit"),  # own hardware costs nothing
    ],
)
def test_the_tighter_limit_counts_and_is_shared(budget: dict[str, float], usd_per_hour: float, seconds: float, words: str) -> None:
    found, said = budget_limit(BudgetSpec.model_validate(budget), plan_at(usd_per_hour), "lora", 2)
    assert found == pytest.approx(seconds) and said == words


@pytest.mark.parametrize("trials", [0, 8])
@pytest.mark.parametrize(("budget", "seconds"), [({"max_hours": 3.0}, 3 * 3600), ({"max_usd": 5.0}, 2.5 * 3600)])
def test_searches_and_trainings_of_two_methods_take_the_budget_together(trials: int, budget: dict[str, float], seconds: float) -> None:
    spec = ProjectSpec.model_validate(
        {"version": 1, "name": "n", "data": "rows.jsonl", "task": {"type": "generate"}, "budget": budget, "search": {"trials": trials}}
    )
    plan = plan_at(2.0)
    plan = plan.model_copy(
        update={"chosen": ("lora", "full"), "options": (*plan.options, plan.options[0].model_copy(update={"method": "full"}))}
    )
    searches = sum(search_seconds(spec, plan, method) for method in plan.chosen) if trials else 0.0
    trainings = sum(budget_left(spec, plan, method, 2)[0] for method in plan.chosen)
    assert searches + trainings == pytest.approx(seconds)
    assert (searches > 0) == (trials > 0)
