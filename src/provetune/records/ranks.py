"""A training by several processes, as each of them is told it."""

from __future__ import annotations

from provetune.records.base import Frozen
from provetune.records.candidate import Candidate, Method


class RankedJob(Frozen):
    """What every rank reads: folders, what is trained, on which rows (files of one example a line beside the job), and for how long.

    `max_seconds` None: without a limit. A step is cut into at least `packs` packs.
    """

    project: str
    run: str
    method: Method
    template: Candidate
    values: dict[str, float | int | str]
    seed: int
    checkpoints: str
    out: str
    packs: int
    max_seconds: float | None
    limit: str
    usd_per_hour: float | None
    trackers: tuple[str, ...]
    start: str | None


class RankFault(Frozen):
    """Why a rank gave up on purpose: trying again would end the same way."""

    error: str
    message: str
