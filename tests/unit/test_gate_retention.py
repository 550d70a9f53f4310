"""Rules about skills of a retention suite: judged by the bound, and not judged where nothing could be lost."""

from __future__ import annotations

import pytest

from provetune.gate import Measured, decide
from provetune.records.evaluation import GateRule, Verdict
from provetune.records.retention import SkillRetention, SkillStatus
from provetune.stats.estimate import Estimate
from tests.unit.records_by_hand import comparison_of, evaluation_of

KEEPS = GateRule(name="keeps sums", kind="not_worse_than", metric="sums", baseline="the base model", margin=0.05, panel="builtin")
BETTER = GateRule(name="better", kind="beats_baseline", metric="accuracy", baseline="few-shot", margin=0.02)


def skill(low: float, high: float, status: SkillStatus = "judged", not_measured: int = 0) -> SkillRetention:
    share = Estimate(0.8, 0.75, 0.85, 400, 0.95, "Wilson")
    return SkillRetention(
        suite="builtin",
        skill="sums",
        status=status,
        chance=0.5,
        margin=0.05,
        items=400 - not_measured,
        not_measured=not_measured,
        before=share,
        after=share,
        difference=Estimate((low + high) / 2, low, high, 400, 0.9, "Bonett-Price"),
        nats_difference=None,
        choice_nats_difference=None,
        lost=0,
        gained=0,
        scores=(),
        groups=(),
    )


def verdict(*skills: SkillRetention) -> Verdict:
    measured = Measured(evaluation_of("tuned"), [], [], [], 1, 0.95, retention=skills)
    [found] = decide([KEEPS], measured).verdicts
    return found


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.049, 0.01, "pass"),
        (-0.05, 0.01, "inconclusive"),
        (-0.10, -0.05, "inconclusive"),
        (-0.10, -0.051, "fail"),
    ],
)
def test_a_skill_is_judged_by_its_bounds(low: float, high: float, outcome: str) -> None:
    found = verdict(skill(low, high))
    assert found.outcome == outcome and found.observed == skill(low, high).difference and "sums" in found.reason


@pytest.mark.parametrize("status", ["not measurable", "too small to judge"])
def test_what_cannot_be_lost_or_seen_is_not_judged_and_says_why(status: SkillStatus) -> None:
    found = verdict(skill(-0.4, -0.2, status))
    assert found.outcome == "not judged" and status in found.reason and "chance is 0.500" in found.reason


def test_a_skill_that_was_not_measured_is_inconclusive() -> None:
    assert verdict().outcome == "inconclusive"
    assert verdict(skill(-0.01, 0.01, not_measured=9)).outcome == "inconclusive"
    assert verdict(skill(-0.01, 0.01, not_measured=8)).outcome == "pass"


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (skill(-0.01, 0.01), "ship"),
        (skill(-0.30, -0.10, "not measurable"), "ship"),
        (skill(-0.30, -0.10), "hold"),
        (skill(-0.08, 0.01), "inconclusive"),
    ],
)
def test_beside_the_gain_a_skill_decides_only_where_it_is_judged(found: SkillRetention, outcome: str) -> None:
    gain = comparison_of("few-shot", (0.10, 0.05, 0.15))
    measured = Measured(evaluation_of("tuned"), [], [gain], [], 1, 0.95, retention=[found])
    assert decide([BETTER, KEEPS], measured).outcome == outcome


def test_skills_that_are_not_judged_prove_nothing() -> None:
    measured = Measured(evaluation_of("tuned"), [], [], [], 1, 0.95, retention=[skill(0, 0.01, "not measurable")])
    assert decide([KEEPS, GateRule(name="audit", kind="audit")], measured).outcome == "inconclusive"


def test_a_rule_without_a_panel_is_written_as_before() -> None:
    assert "panel" not in BETTER.model_dump(mode="json") and KEEPS.model_dump(mode="json")["panel"] == "builtin"


def test_the_next_step_speaks_of_tuning_where_only_skills_stand_in_the_way() -> None:
    gain = comparison_of("few-shot", (0.10, 0.05, 0.15))
    for low, high, words in ((-0.3, -0.1, "lower learning rate"), (-0.08, 0.01, "a larger suite")):
        measured = Measured(evaluation_of("tuned"), [], [gain], [], 1, 0.95, retention=[skill(low, high)])
        assert words in decide([BETTER, KEEPS], measured).next_step
    none = comparison_of("few-shot", (-0.10, -0.15, -0.05))
    measured = Measured(evaluation_of("tuned"), [], [none], [], 1, 0.95, retention=[skill(-0.3, -0.1)])
    assert "Keep the best prompt" in decide([BETTER, KEEPS], measured).next_step
