"""Small labelling rounds for the tests: rows, votes, annotators who are right with a given chance."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from provetune.labelling.queues import QueueRequest, random_queue
from provetune.labelling.round import Guideline, Round
from provetune.labelling.rows import Row
from provetune.labelling.votes import Standing, VoteLog, standing
from provetune.records.data import Message
from provetune.records.labels import Vote

LABELS = ("billing", "login", "other")


def row(name: str, text: str | None = None, label: str | None = None, group: str | None = None) -> Row:
    said = f"text of {name}" if text is None else text
    target = None if label is None else Message(role="assistant", content=label)
    return Row(name, (Message(role="user", content=said),), target, f"rows.csv:{name}", group)


def rows(count: int, label: str | None = None) -> dict[str, Row]:
    return {f"r{k}": row(f"r{k}", label=label) for k in range(count)}


def vote(of: Row, annotator: str, value: str | None, *, decides: bool = False, comment: str = "") -> Vote:
    action = "skip" if value is None else "vote"
    said = {"example_id": of.id, "row": of.key, "annotator": annotator, "action": action, "value": value, "comment": comment}
    return Vote.model_validate({**said, "at": "2026-01-01T00:00:00+00:00", "decides": decides})


def held(votes: Iterable[Vote]) -> Standing:
    return standing(votes)


def simulated(data: dict[str, Row], right: dict[str, float], seed: int = 5) -> list[Vote]:
    """One vote of each annotator on each row: the true label (by row number) with their chance, else any."""
    draw = np.random.default_rng(seed)
    votes = []
    for number, one in enumerate(data.values()):
        for name, chance in right.items():
            k = number % len(LABELS) if draw.random() < chance else int(draw.integers(len(LABELS)))
            votes.append(vote(one, name, LABELS[k]))
    return votes


def work(folder: Path, annotator: str, *, count: int = 6, overlap: float = 1.0, labels: tuple[str, ...] = LABELS) -> Round:
    """A random round over `count` rows; annotators with one folder share votes and queue."""
    data = rows(count)
    queue = random_queue(QueueRequest(rows=data, labelled={}, voted=(), number=1, overlap=overlap))
    return Round(data, queue, annotator, labels, Guideline("**billing**: money"), VoteLog(folder / "votes.jsonl"))
