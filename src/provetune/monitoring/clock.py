"""When the next evaluation is due. All moments are UTC, so that no change of local time matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from provetune.records.monitoring import ClockReading

SHORTEST, LONGEST = 90, 180
"""Days between evaluations, whatever was asked for."""
MONTH = 30
_JUMP = timedelta(days=1)


def read_clock(evaluated_at: datetime, now: datetime, age_months: float, moved: bool) -> ClockReading:
    """Due `age_months` after the last evaluation, a quarter earlier where the domain has `moved` since; never outside 90 to 180 days.

    Raises ValueError on a moment without a time zone.

    >>> read = read_clock(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC), 4, True)
    >>> read.every_days, read.due_at, read.is_due
    (90, '2026-04-01T00:00:00+00:00', True)
    """
    for moment in (evaluated_at, now):
        if moment.tzinfo is None:
            raise ValueError(f"found {moment.isoformat()} without a time zone, wanted UTC")
    days = min(LONGEST, max(SHORTEST, round(age_months * MONTH * (0.75 if moved else 1))))
    due = evaluated_at.astimezone(UTC) + timedelta(days=days)
    return ClockReading(evaluated_at=evaluated_at.isoformat(), every_days=days, due_at=due.isoformat(), is_due=now >= due)


def anchored(evaluated_at: str, now: datetime) -> datetime:
    """The last evaluation; `now` where none is known, or where it lies more than a day ahead because a clock was wrong.

    So a wrong clock can put the next evaluation off by one interval at most.

    >>> anchored("2030-01-01T00:00:00+00:00", datetime(2026, 1, 1, tzinfo=UTC)).year
    2026
    """
    if not evaluated_at:
        return now
    found = datetime.fromisoformat(evaluated_at)
    return now if found > now + _JUMP else found
