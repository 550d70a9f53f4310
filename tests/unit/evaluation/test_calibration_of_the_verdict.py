"""Simulated projects through the real comparison and the real gate: how often equal candidates ship, and true gains do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from provetune.evaluation import compare
from provetune.gate import Measured, decide
from provetune.records.evaluation import Evaluation, GateRule
from provetune.stats.power import examples_for_gain, examples_for_noninferiority
from tests.unit.records_by_hand import evaluation_of

MARGIN = 0.02


@dataclass(frozen=True)
class Project:
    """Rows of the test split, true gain over each of two prompts, share of rows on which two candidates differ, rows per group."""

    rows: int
    gain: float
    discordance: float = 0.2
    group: int = 1
    margin: float = MARGIN


def evaluation(name: str, right: Sequence[bool], group: int) -> Evaluation:
    whole = evaluation_of(name, len(right))
    groups = tuple(f"g{k // group}" for k in range(len(right)))
    return whole.model_copy(update={"observations": {"accuracy": tuple((float(one),) for one in right)}, "group_ids": groups})


def outcome(project: Project, generator: np.random.Generator) -> str:
    """Two prompts that agree with each other, and a tuned model that differs from them on some rows; rows of a group are alike."""
    units = project.rows // project.group
    base = generator.random(units) < 0.6
    # the model mends so many of the prompts' faults and makes so many new ones
    mended, broken = (project.discordance + project.gain) / 2 / 0.4, (project.discordance - project.gain) / 2 / 0.6
    tuned = np.where(base, generator.random(units) >= broken, generator.random(units) < mended)
    ours = evaluation("tuned", np.repeat(tuned, project.group).tolist(), project.group)
    others = [evaluation(name, np.repeat(base, project.group).tolist(), project.group) for name in ("zero-shot", "few-shot")]
    rules = [
        GateRule(name=o.candidate.name, kind="beats_baseline", metric="accuracy", baseline=o.candidate.name, margin=project.margin)
        for o in others
    ]
    comparisons = [compare(ours, other, "accuracy", 0.95) for other in others]
    return decide([*rules, GateRule(name="audit", kind="audit")], Measured(ours, others, comparisons, (), 1, 0.95)).outcome


def shipped(project: Project, projects: int, seed: int = 0) -> float:
    generator = np.random.default_rng(seed)
    return Counter(outcome(project, generator) for _ in range(projects))["ship"] / projects


EQUAL = [
    Project(200, 0.0, margin=0.0),
    Project(626, 0.0),
    Project(200, MARGIN),  # better, but by no more than the margin
    Project(30, 0.0, discordance=0.4, margin=0.0),
    Project(120, 0.0, group=4, margin=0.0),  # 30 groups
]
GAINS = [
    Project(examples_for_gain(0.07, 0.2, margin=MARGIN), 0.07),
    Project(examples_for_gain(0.10, 0.2, margin=MARGIN), 0.10),
    Project(examples_for_gain(0.10, 0.3, margin=0.0), 0.10, discordance=0.3, margin=0.0),
]


@pytest.mark.parametrize("project", EQUAL, ids=str)
def test_equal_candidates_hardly_ever_ship(project: Project) -> None:
    # nominal 2.5 %: more than 8 in 100 would be one run in a thousand
    assert shipped(project, 100 if project.group == 1 else 40) <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("project", EQUAL, ids=str)
def test_of_500_equal_projects_at_most_one_in_twenty_ships(project: Project) -> None:
    assert shipped(project, 500, seed=1) <= 0.05


@pytest.mark.parametrize("project", GAINS, ids=str)
def test_a_true_gain_at_the_planned_size_ships(project: Project) -> None:
    # planned for 80 %: fewer than 68 in 100 would be one run in a thousand
    assert shipped(project, 100) >= 0.68


@pytest.mark.slow
def test_of_1500_true_gains_at_the_planned_size_four_in_five_ship() -> None:
    """Over the three designs together; one design alone wavers by 1.8 points."""
    assert np.mean([shipped(project, 500, seed=1) for project in GAINS]) >= 0.80


def test_no_harm_at_the_planned_size_is_shown() -> None:
    generator, passed, rows = np.random.default_rng(3), 0, examples_for_noninferiority(0.05, 0.2)
    rule = GateRule(name="kept", kind="not_worse_than", metric="accuracy", baseline="base", margin=0.05)
    for _ in range(100):
        drawn = generator.random(rows)
        ours = evaluation("tuned", (drawn < 0.7).tolist(), 1)
        theirs = evaluation("base", ((drawn < 0.6) | (drawn > 0.9)).tolist(), 1)
        passed += decide([rule], Measured(ours, [theirs], [compare(ours, theirs, "accuracy", 0.9)], (), 1, 0.95)).outcome == "ship"
    assert passed >= 68
