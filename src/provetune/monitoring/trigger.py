"""When a new tuning is proposed: harm and the clock propose; drift alone never does."""

from __future__ import annotations

from datetime import datetime

from provetune.hashing import fingerprint
from provetune.records.monitoring import DriftReport, HarmReading, MonitorState, Reason, RetrainProposal
from provetune.stats.estimate import Estimate

_CONFIRMING = 30
_WORDS: dict[Reason, str] = {
    "harm": "labels show that the model is worse than promised",
    "clock": "the last evaluation is too long ago",
    "drift with harm": "the requests have moved for several looks, and labels show more errors than on the held-out rows",
    "by hand": "it was asked for",
}


def reasons_for(report: DriftReport, state: MonitorState, drift_weeks: int, error: Estimate | None) -> tuple[Reason, ...]:
    """Why a new tuning should be proposed; empty where nothing asks for one. `error` is the held-out error."""
    found: list[Reason] = []
    if report.harm is not None and report.harm.alarm:
        found.append("harm")
    elif state.drifting_looks >= drift_weeks and _confirmed(report.harm, error):
        found.append("drift with harm")
    if report.clock is not None and report.clock.is_due:
        found.append("clock")
    return tuple(found)


def propose(
    reasons: tuple[Reason, ...], report: DriftReport, state: MonitorState, wanted_rows: int, now: datetime
) -> RetrainProposal | None:
    """The proposal, or None where there is no reason or this one was made since the last evaluation already."""
    trigger = trigger_of(report.reference, state.evaluated_at, reasons)
    if not reasons or trigger in state.triggers:
        return None
    return RetrainProposal(
        trigger=trigger,
        at=now.isoformat(timespec="seconds"),
        release=report.release,
        reasons=reasons,
        sentence=f"Tune again: {'; '.join(_WORDS[reason] for reason in reasons)}.",
        report=report.fingerprint,
        new_rows=state.totals.get("labels", 0),
        wanted_rows=wanted_rows,
    )


def trigger_of(reference: str, evaluated_at: str, reasons: tuple[Reason, ...]) -> str:
    """Names a proposal: the same reasons since the same evaluation are the same one, however often they are found."""
    return fingerprint([reference, evaluated_at, sorted(reasons)])


def _confirmed(harm: HarmReading | None, error: Estimate | None) -> bool:
    """Whether the labels' error lies above the held-out one, interval against value."""
    if harm is None or error is None or harm.labels < _CONFIRMING or harm.error.low is None or error.value is None:
        return False
    return harm.error.low > error.value
