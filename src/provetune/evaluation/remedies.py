"""Choosing what forgets little: suite items that select and others that judge, and the choice among weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from provetune.evaluation.retention import SMALLEST_PANEL, Terms, compare_skills
from provetune.hashing import seed_of
from provetune.records.forgetting import RemedyPoint, SkillLoss
from provetune.records.retention import ItemScore, SuiteItem, SuiteScores


def selecting(items: Sequence[SuiteItem]) -> list[int]:
    """Places of the items that select: up to half of each skill, as long as enough stay to judge by; groups stay together.

    Fixed by the items alone: whatever is chosen, the same ones judge.

    >>> items = [SuiteItem(id=str(k), skill="sums", prompt="?", options=("1", "2")) for k in range(400)]
    >>> len(selecting(items)), len(selecting(items[:250]))
    (150, 0)
    """
    chosen: list[int] = []
    for skill in dict.fromkeys(item.skill for item in items):
        groups: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            if item.skill == skill:
                groups.setdefault(f"item {item.id or place}" if item.group is None else f"group {item.group}", []).append(place)
        count = sum(map(len, groups.values()))
        room = min(count // 2, count - SMALLEST_PANEL)
        for name in sorted(groups, key=lambda name: seed_of(f"{skill} {name}")):
            if len(groups[name]) <= room:
                chosen += groups[name]
                room -= len(groups[name])
    return sorted(chosen)


def asked_of(items: Sequence[SuiteItem], before: SuiteScores, terms: Terms) -> list[int]:
    """Places of the items that select, of the skills that the base has and that are going to be judged."""
    judged = _judged(items, before, terms)
    return [place for place in selecting(items) if items[place].skill in judged]


def _judged(items: Sequence[SuiteItem], before: SuiteScores, terms: Terms) -> dict[str, int]:
    return {skill.skill: skill.items for skill in compare_skills(items, before, before, terms) if skill.status == "judged"}


def skill_losses(items: Sequence[SuiteItem], before: SuiteScores, after: Sequence[ItemScore | None], terms: Terms) -> list[SkillLoss]:
    """What was lost of each skill: `before` scores the base on all items, `after` other weights at the places of `asked_of`."""
    judged, places = _judged(items, before, terms), asked_of(items, before, terms)
    own = before.model_copy(update={"scores": tuple(before.scores[place] for place in places)})
    tuned = before.model_copy(update={"scores": tuple(after)})
    found = []
    for skill in compare_skills([items[place] for place in places], own, tuned, terms):
        differences = np.array([a[0] - b[0] for b, a in skill.scores])
        if len(differences) < 2:
            continue
        judging = judged[skill.skill] - skill.items
        reach = float(norm.ppf(terms.confidence)) * float(differences.std(ddof=1)) / math.sqrt(judging)
        low = float(differences.mean()) - reach
        found.append(SkillLoss(suite=skill.suite, skill=skill.skill, difference=skill.difference, judging=judging, expected_low=low))
    return found


def choose(points: Sequence[RemedyPoint]) -> int:
    """Place of the weights to ship: of those that keep the skills and gain enough the best score, then what keeps most.

    Where none does both: of those that gain enough what is expected to keep most; where none gains enough, the best score.
    """

    def rank(place: int) -> tuple[float, ...]:
        point = points[place]
        kept = 0.0 if point.kept is None else point.kept
        worst = min((skill.expected_low for skill in point.skills), default=0.0)
        if point.gains and point.keeps:
            return 2, point.score, kept, -place
        return (1, worst, point.score, -place) if point.gains else (0, point.score, kept, -place)

    return max(range(len(points)), key=rank)
