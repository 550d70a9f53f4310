"""What the budget leaves for a training, at the price that the plan assumes."""

from __future__ import annotations

import math

from provetune.records.candidate import Method, Plan
from provetune.spec import BudgetSpec, ProjectSpec

SEARCH_SHARE = 0.5
"""Of the budget, what all searches together may take; the trainings that count get the rest."""


def usd_per_hour(plan: Plan, method: Method) -> float | None:
    """Dollars of an hour at the price that the plan assumes; None where it knows none."""
    option = next((one for one in plan.options if one.method == method), None)
    if option is None or option.cost_usd.value is None or not option.duration_h.value:
        return None
    return option.cost_usd.value / option.duration_h.value


def budget_left(spec: ProjectSpec, plan: Plan, method: Method, trainings: int) -> tuple[float, str]:
    """As `budget_limit`, of what a search for values leaves where one is asked for."""
    seconds, words = budget_limit(spec.budget, plan, method, trainings)
    return seconds * (1 - SEARCH_SHARE if spec.search.trials else 1), words


def search_seconds(spec: ProjectSpec, plan: Plan, method: Method) -> float:
    """Seconds that the search of one method may take: an equal part of what all of them may."""
    return SEARCH_SHARE * budget_limit(spec.budget, plan, method, len(plan.chosen))[0]


def budget_limit(budget: BudgetSpec, plan: Plan, method: Method, trainings: int) -> tuple[float, str]:
    """Seconds that the budget leaves for each of the trainings, and what is then used up; dollars at the price that the plan assumes."""
    price = usd_per_hour(plan, method)
    limits = [(math.inf, "there is no limit")]
    if budget.max_hours is not None:
        limits.append((budget.max_hours * 3600, f"budget.max_hours of {budget.max_hours:g} h is used up"))
    if budget.max_usd is not None and price:
        words = f"budget.max_usd of {budget.max_usd:g} $ is used up at {price:.2f} $ an hour"
        limits.append((budget.max_usd / price * 3600, words))
    seconds, words = min(limits)
    return seconds / trainings, words
