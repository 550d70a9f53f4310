"""Whether a canary is worse than the champion: a test that may be looked at after every label, and then gives its users back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provetune.records.traffic import Feedback, Route, TrafficRecord
from provetune.stats.sequential import ALARM, paired_wealth

Judged = tuple[TrafficRecord, Sequence[Feedback]]
TESTS = 2
"""What people say, and what failed: each is tested at half the level."""


@dataclass(frozen=True)
class Trial:
    """How a release on trial stands: evidence (wealth of a bet, 1 at the start) that it is worse, from so many pairs each."""

    labelled_pairs: int
    labelled_wealth: float
    failed_pairs: int
    failed_wealth: float

    @property
    def worse(self) -> str | None:
        """Why it must stop; None as long as it need not."""
        level = TESTS * ALARM
        if self.labelled_wealth >= level:
            return f"its answers are worse than the champion's ({self.labelled_pairs} labelled pairs, wealth {self.labelled_wealth:.0f})"
        if self.failed_wealth >= level:
            return f"it fails more often than the champion ({self.failed_pairs} pairs, wealth {self.failed_wealth:.0f})"
        return None


def trial(lines: Iterable[Judged], candidate: str, champion: str, route: Route = "canary") -> Trial:
    """How `candidate` stands beside `champion`, from the lines of the log since it began, oldest first.

    A corrected answer is compared with what the champion wrote for the same request, where it was asked beside; other labels are
    paired in the order of arrival, each of the trial's with one of the champion's, as users are drawn to either by chance.
    """
    seen = list(lines)
    mirrored = {one.answers: one for one, _ in seen if one.route == "shadow" and one.candidate == champion and one.answers}
    said: list[float] = []
    failed: list[float] = []
    waiting: dict[str, list[list[float]]] = {"said": [[], []], "failed": [[], []]}
    for record, feedback in seen:
        mine = record.route == route and record.candidate == candidate
        if not mine and not (record.route == "champion" and record.candidate == champion):
            continue
        _pair(waiting["failed"], failed, mine, _failed(record))
        beside = mirrored.get(record.request_id) if mine else None
        loss = _loss(record, feedback)
        if loss is None:
            continue
        theirs = None if beside is None else _corrected(beside, feedback)
        if theirs is not None:
            said.append(loss - theirs)
        else:
            _pair(waiting["said"], said, mine, loss)
    return Trial(len(said), paired_wealth(said), len(failed), paired_wealth(failed))


def _pair(waiting: list[list[float]], into: list[float], mine: bool, loss: float) -> None:
    """Put a loss beside the oldest of the other side, or keep it until one comes."""
    waiting[mine].append(loss)
    if waiting[0] and waiting[1]:
        into.append(waiting[1].pop(0) - waiting[0].pop(0))


def _failed(record: TrafficRecord) -> float:
    return float(record.finish == "error" or record.schema_valid is False)


def _loss(record: TrafficRecord, feedback: Sequence[Feedback]) -> float | None:
    """What the last piece of feedback that says right or wrong says."""
    losses = [loss for one in feedback if (loss := one.loss(record.completion)) is not None]
    return losses[-1] if losses else None


def _corrected(record: TrafficRecord, feedback: Sequence[Feedback]) -> float | None:
    losses = [one.loss(record.completion) for one in feedback if one.correction is not None]
    return losses[-1] if losses else None
