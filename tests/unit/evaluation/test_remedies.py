"""Which items select and which judge, and which weights are taken."""

from __future__ import annotations

import random

import numpy as np
import pytest

from provetune.evaluation.remedies import asked_of, choose, selecting, skill_losses
from provetune.evaluation.retention import SMALLEST_PANEL, Terms
from provetune.records.forgetting import RemedyPoint, SkillLoss
from provetune.records.retention import ItemScore, SuiteItem, SuiteScores
from provetune.stats.estimate import Estimate
from provetune.suites.retention import BUILTIN, read_items

ITEMS = read_items(BUILTIN)
NONE = Estimate(0.0, 0.0, 0.0, 0, 0.95, "by hand")


def test_enough_items_of_every_skill_stay_to_judge_by_and_groups_stay_together() -> None:
    places = set(selecting(ITEMS))
    for skill in {item.skill for item in ITEMS}:
        own = [place for place, item in enumerate(ITEMS) if item.skill == skill]
        chosen = [place for place in own if place in places]
        assert len(own) - len(chosen) >= min(SMALLEST_PANEL, len(own))
        assert len(chosen) <= len(own) / 2
        assert len(chosen) >= min(len(own) // 2, len(own) - SMALLEST_PANEL) - 8, "at most a group of items is left over"
        groups = [{ITEMS[place].group for place in part} - {None} for part in (chosen, set(own) - set(chosen))]
        assert not groups[0] & groups[1]


def test_the_order_of_the_items_does_not_matter() -> None:
    mixed = list(ITEMS)
    random.Random(3).shuffle(mixed)
    assert {ITEMS[place].id for place in selecting(ITEMS)} == {mixed[place].id for place in selecting(mixed)}


def scores_of(right: list[bool]) -> SuiteScores:
    return SuiteScores(suite="mine", items_sha256="", scores=tuple((float(one),) for one in right))


def test_what_was_lost_is_told_of_skills_that_will_be_judged_only() -> None:
    items = [SuiteItem(id=f"{skill}{k}", skill=skill, prompt="?", options=("a", "b")) for skill in ("had", "never had") for k in range(400)]
    before = scores_of([k < 380 or 400 <= k < 600 for k in range(800)])
    places = asked_of(items, before, Terms())
    assert len(places) == 150 and {items[place].skill for place in places} == {"had"}
    lost = set(places[:15])
    after: list[ItemScore | None] = [(0.0,) if place in lost else before.scores[place] for place in places]
    [found] = skill_losses(items, before, after, Terms())
    differences = np.array([(a or (0.0,))[0] - (b or (0.0,))[0] for a, b in zip(after, [before.scores[p] for p in places], strict=True)])
    assert found.difference.value == pytest.approx(differences.mean()) and found.judging == 250
    assert found.expected_low == pytest.approx(differences.mean() - 1.6449 * differences.std(ddof=1) / 250**0.5, abs=1e-4)
    [kept] = skill_losses(items, before, [before.scores[place] for place in places], Terms())
    assert kept.expected_low == 0


def point(score: float, low: float, *, gains: bool = True, kept: float = 0.0) -> RemedyPoint:
    skill = SkillLoss(suite="mine", skill="sums", difference=NONE, judging=250, expected_low=low)
    keeps = low > -0.05
    return RemedyPoint(training="lora", scale=1.0, weights_sha256="", score=score, skills=(skill,), kept=kept, keeps=keeps, gains=gains)


def test_the_best_score_among_those_that_keep_then_what_keeps_most() -> None:
    assert choose([point(0.9, -0.2), point(0.7, -0.04), point(0.8, -0.03), point(0.6, 0.0)]) == 2
    assert choose([point(0.8, -0.04, kept=-0.02), point(0.8, -0.03, kept=-0.01)]) == 1
    assert choose([point(0.8, 0.0), point(0.8, 0.0)]) == 0


def test_where_nothing_does_both_what_gains_and_loses_least_and_else_the_best_score() -> None:
    assert choose([point(0.9, -0.2), point(0.7, -0.1), point(0.3, 0.0, gains=False)]) == 1
    assert choose([point(0.2, -0.2, gains=False), point(0.1, 0.0, gains=False)]) == 0


def test_what_is_chosen_among_those_that_keep_is_on_the_front_of_what_it_was_chosen_by() -> None:
    draw = random.Random(5)
    for _ in range(200):
        points = [point(round(draw.random(), 1), -0.01, kept=round(-draw.random(), 1)) for _ in range(6)]
        pairs = [(one.score, one.kept or 0.0) for one in points]
        score, kept = pairs[choose(points)]
        assert not any(a >= score and b >= kept and (a, b) != (score, kept) for a, b in pairs)
