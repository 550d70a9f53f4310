"""Months of traffic in seconds: the user's own rows, drift planted from some week on, and what watching makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from provetune.monitoring.drift import find_drift, permutations_for
from provetune.monitoring.harm import after, claim_from, held_out_error, read_harm, same_answer
from provetune.monitoring.sample import Row, Sample
from provetune.monitoring.settings import Settings
from provetune.monitoring.text import words_of
from provetune.records.monitoring import Bets, PlantedDrift, WatchSimulation

NEW_WORD = "zorblax"
_WRONG = "(wrong)"


@dataclass(frozen=True)
class Course:
    """How the traffic runs: weeks, requests and labels a week, from which week on and in which share drift is planted, and how often."""

    weeks: int = 26
    requests: int = 240
    labels: int = 20
    planted_week: int = 9
    share: float = 0.2
    base_error: float = 0.1
    tolerance: float = 0.03
    runs: int = 5
    seed: int = 7


Plant = Callable[[Row, np.random.Generator], Row]


def simulate(rows: Sequence[Row], course: Course) -> WatchSimulation:
    """Each kind of drift planted into traffic drawn from labelled `rows`, `course.runs` times; deterministic by seed.

    The stand-in model answers with the row's label, wrongly in `base_error` of the rows. The kinds: nothing; a topic it never saw (the
    label that most rows of the largest half lack; its answers are wrong); a new word in place of a usual one; a change of what the two
    commonest labels mean (the model goes on as before); another style of writing, which it answers as before.
    """
    counts = Counter(row.label for row in rows)
    names = [name for name, _ in counts.most_common()]
    topic = names[min(len(names) - 1, 2)]
    usual = [row for row in rows if row.label != topic] if len(names) > 2 else list(rows)
    unseen = [row for row in rows if row.label == topic]
    noun = _common_word(usual)
    swapped = {names[0]: names[min(1, len(names) - 1)], names[min(1, len(names) - 1)]: names[0]}
    plants: dict[str, Plant] = {
        "nothing": lambda row, _: row,
        f"new topic ({topic})": lambda _, random: replace(unseen[int(random.integers(len(unseen)))], prediction=_WRONG),
        f"new word ({NEW_WORD} for {noun})": lambda row, _: replace(row, text=_with_word(row.text, noun)),
        f"labels change meaning ({names[0]} and {next(iter(swapped.values()))})": lambda row, _: replace(
            row, label=swapped.get(row.label, row.label)
        ),
        "other style": lambda row, _: replace(row, text=f"pls {row.text.lower().rstrip('?.!')} thx"),
    }
    found = []
    for name, plant in plants.items():
        # a change of meaning and of style reaches everyone at once, as a new guideline or a new front end does
        share = 1.0 if name.startswith(("labels", "other")) else course.share
        runs = [_run(usual, plant, replace(course, share=share), course.seed + run) for run in range(course.runs)]
        found.append(_summed(name, runs))
    return WatchSimulation(
        weeks=course.weeks,
        requests=course.requests,
        labels=course.labels,
        planted_week=course.planted_week,
        share=course.share,
        base_error=course.base_error,
        runs=course.runs,
        plants=tuple(found),
    )


@dataclass(frozen=True)
class _Run:
    """When a run was noticed and harmed, in requests and labels since the planting; None for never; and alarms before it."""

    noticed: int | None
    harmed: int | None
    early_notices: int
    early_harms: int


def _run(usual: Sequence[Row], plant: Plant, course: Course, seed: int) -> _Run:
    random = np.random.default_rng([seed, 26])
    order = random.permutation(len(usual))
    half = min(len(usual) // 2, 1000)
    reference = Sample(tuple(_answered(usual[place], course, random) for place in order[:half]))
    stream = [usual[place] for place in order[half:]]
    error = held_out_error(reference)
    assert error is not None
    bets = Bets(claim=claim_from(error, course.tolerance))
    alpha = 0.05 / course.weeks
    settings = Settings(permutations_for(alpha), seed=seed)
    noticed = harmed = None
    early = [0, 0]
    for week in range(1, course.weeks + 1):
        drifting = week >= course.planted_week
        picked = random.permutation(len(stream))[: course.requests]
        rows = [_answered(stream[place], course, random) for place in picked]
        if drifting:
            rows = [plant(row, random) if random.random() < course.share else row for row in rows]
        since = week - course.planted_week + 1
        if noticed is None and find_drift(reference, Sample(tuple(rows)), alpha, settings)[0] == "drift":
            early[0] += not drifting
            noticed = since * len(rows) if drifting else None
        bets = after(bets, [float(not same_answer(row.label or "", row.prediction or "")) for row in rows[: course.labels]])
        if harmed is None and read_harm(bets).alarm:
            early[1] += not drifting
            harmed = since * course.labels if drifting else None
            bets = Bets(claim=bets.claim)
        if noticed is not None and harmed is not None:
            break
    return _Run(noticed, harmed, early[0], early[1])


def _answered(row: Row, course: Course, random: np.random.Generator) -> Row:
    return replace(row, prediction=_WRONG if random.random() < course.base_error else row.label)


def _common_word(rows: Sequence[Row]) -> str:
    """The longest of the twenty words that most texts hold: rarely a function word."""
    held = Counter(word for row in rows for word in set(words_of(row.text)))
    return max((word for word, _ in held.most_common(20)), key=lambda word: (len(word), word), default="")


def _with_word(text: str, noun: str) -> str:
    lowered = text.lower()
    return lowered.replace(noun, NEW_WORD) if noun and noun in lowered else f"{text} {NEW_WORD}"


def _summed(plant: str, runs: Sequence[_Run]) -> PlantedDrift:
    noticed = [run.noticed for run in runs if run.noticed is not None]
    harmed = [run.harmed for run in runs if run.harmed is not None]
    return PlantedDrift(
        plant=plant,
        noticed=len(noticed) / len(runs),
        requests_to_notice=int(np.median(noticed)) if noticed else None,
        harmed=len(harmed) / len(runs),
        labels_to_harm=int(np.median(harmed)) if harmed else None,
        false_notices=sum(run.early_notices for run in runs),
        false_harms=sum(run.early_harms for run in runs),
    )
