"""Successive halving: which part of the rows how many prompts are measured on (Jamieson & Talwalkar 2016)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from provetune.hashing import seed_of
from provetune.records.data import Example

FACTOR = 3
"""Of so many prompts one goes on, to as many times the rows."""
SMALLEST_RUNG = 32
"""Rows below which a rung's scores would be little more than chance."""


@dataclass(frozen=True)
class Rung:
    """So many prompts are measured on these rows; those of the rung before are their beginning."""

    part: Sequence[Example]
    prompts: int


def rungs(prompts: int, rows: int) -> tuple[tuple[int, int], ...]:
    """(rows, prompts measured on them) of each rung: a third of the prompts go on, to three times the rows, at last to all rows.

    The first rung has at least 32 rows, or all of fewer.

    >>> rungs(30, 1000)
    ((38, 30), (112, 10), (334, 4), (1000, 2))
    """
    steps = 0
    while FACTOR ** (steps + 1) <= prompts and rows >= SMALLEST_RUNG * FACTOR ** (steps + 1):
        steps += 1
    return tuple((math.ceil(rows / FACTOR ** (steps - n)), math.ceil(prompts / FACTOR**n)) for n in range(steps + 1))


def nested(validation: Sequence[Example], seed: int) -> list[Example]:
    """The rows in the search's order: by chance, rows of one group side by side."""
    groups: dict[str, list[Example]] = {}
    for example in validation:
        groups.setdefault(example.group or example.id, []).append(example)
    order = sorted(groups)
    random.Random(seed_of("prompt search", str(seed))).shuffle(order)
    return [example for name in order for example in groups[name]]


def planned(prompts: int, rows: Sequence[Example]) -> list[Rung]:
    """The rungs with their rows; rows of one group are never parted."""
    plan: list[Rung] = []
    for size, count in rungs(prompts, len(rows)):
        while size < len(rows) and rows[size].group is not None and rows[size].group == rows[size - 1].group:
            size += 1
        if plan and len(plan[-1].part) == size:
            plan.pop()
        plan.append(Rung(rows[:size], count if plan else prompts))
    return plan


def completions_of(plan: Sequence[Rung]) -> int:
    """What halving asks for: a row that a prompt has answered is not asked again."""
    before = [0, *(len(rung.part) for rung in plan)]
    return sum(rung.prompts * (len(rung.part) - seen) for rung, seen in zip(plan, before, strict=False))
