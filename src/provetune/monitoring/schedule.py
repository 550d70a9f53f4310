"""When to look, and what begins anew after an evaluation."""

from __future__ import annotations

from datetime import datetime, timedelta

from provetune.monitoring.clock import anchored, read_clock
from provetune.monitoring.harm import WEAK_TOLERANCE, claim_from, read_harm
from provetune.monitoring.settings import FEWEST
from provetune.records.monitoring import Bets, ClockReading, MonitoringReference, MonitorState
from provetune.spec.parts import WatchSpec

_UNIT = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def begun_anew(state: MonitorState, reference: MonitoringReference, spec: WatchSpec, now: datetime) -> MonitorState:
    """The state after an evaluation: no look made, nothing bet, the clock at `now`; totals and proposals stay."""
    claim = None if reference.error is None else claim_from(reference.error, spec.retune_when.quality_drop)
    return state.model_copy(
        update={
            "reference": reference.fingerprint,
            "evaluated_at": now.isoformat(timespec="seconds"),
            "looks": 0,
            "drifting_looks": 0,
            "counts": {},
            "moved": state.moved or state.drifting_looks > 0,
            "harm": None if claim is None else Bets(claim=claim),
            "weak": None if claim is None else Bets(claim=min(0.99, claim + WEAK_TOLERANCE)),
        }
    )


def clock_of(state: MonitorState, spec: WatchSpec, now: datetime) -> ClockReading:
    """When the next evaluation is due; earlier where the domain moved."""
    return read_clock(anchored(state.evaluated_at, now), now, spec.retune_when.age_months, state.moved or state.drifting_looks > 0)


def is_due(state: MonitorState, spec: WatchSpec, rows: int, now: datetime) -> bool:
    """Whether to look now: the interval is over and enough `rows` have come, or labels or the clock have something to say.

    Said once: what was proposed since the last evaluation does not ask for looks of its own.
    """
    every = int(spec.quality.every[:-1]) * _UNIT[spec.quality.every[-1]]
    before = datetime.fromisoformat(state.looked_at) if state.looked_at else None
    waited = before is None or not before <= now < before + every  # a clock that was set back must not stop the looks
    worse = state.harm is not None and state.harm.seen > 0 and read_harm(state.harm).alarm
    speaks = worse or clock_of(state, spec, now).is_due
    return (waited and (rows >= FEWEST or speaks)) or (speaks and state.asked != _asking(worse))


def asks(state: MonitorState, spec: WatchSpec, now: datetime) -> str:
    """What, beside the interval, asks for a look now; remembered, so that it asks once."""
    worse = state.harm is not None and state.harm.seen > 0 and read_harm(state.harm).alarm
    return _asking(worse) if worse or clock_of(state, spec, now).is_due else ""


def _asking(worse: bool) -> str:
    return "harm" if worse else "clock"
