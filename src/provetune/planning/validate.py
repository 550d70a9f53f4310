"""Scores the estimates on published measurements: memory as shipped, and fitted again without the source that is scored; and speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from provetune.planning.calibration import Calibration, calibrate, peak, shipped, stratum
from provetune.planning.points import LeftOutRow, Point, TimedPoint, read_points, read_times
from provetune.planning.time import step_seconds
from provetune.records.planning import PointLeftOut, PointScore, Scores, TimeScore, TimeScores, Validation

DEFAULT_STACK = "1 GPU, checkpointing, chunked or fused loss"
GUESSED = "sizes of the model guessed"


def validate(file: Path) -> Validation:
    """The scores of all rows of a file of published measurements; DataError where it cannot be read.

    A source that the shipped constants were not fitted to is held out as it is. Of a file with one source, which they were fitted to,
    nothing can be held out.
    """
    points, left_out = read_points(file)
    held_out: dict[str, Calibration] = {}
    for source in sorted({point.source for point in points}):
        others = [point for point in points if point.source != source and point.measured_gib is not None and not point.guessed]
        if source not in shipped().sources:
            held_out[source] = shipped()
        elif others:
            held_out[source] = calibrate(others)
    as_shipped = [_score(point, shipped()) for point in points]
    whole = len(held_out) == len({point.source for point in points})
    apart = [_score(point, held_out[point.source]) for point in points] if whole else []
    timed, untimed = read_times(file)
    speeds = [_speed(point) for point in timed]
    return Validation(
        file=str(file),
        rows=len(points) + len(left_out),
        left_out=_counted(left_out),
        leave_one_source_out=_groups(apart) if apart else (),
        as_shipped=_groups(as_shipped),
        points=tuple(apart or as_shipped),
        time=_time_groups(speeds),
        time_points=tuple(speeds),
        time_left_out=_counted(untimed),
    )


def _speed(point: TimedPoint) -> TimeScore:
    job = point.job
    fast, middle, slow = (job.tokens * job.gpus / seconds for seconds in step_seconds(job, point.gpu, job.longest))
    return TimeScore(
        id=point.id,
        source=point.source,
        measured_tokens_per_s=point.tokens_per_s,
        estimated_tokens_per_s=middle,
        ratio=point.tokens_per_s / middle,  # of hours: estimated slower is estimated longer
        inside=slow <= point.tokens_per_s <= fast,
    )


def _time_groups(scored: Sequence[TimeScore]) -> tuple[TimeScores, ...]:
    named = [("all rows", list(scored)), *((name, [o for o in scored if o.source == name]) for name in sorted({o.source for o in scored}))]
    return tuple(_time_summary(name, mine) for name, mine in named if mine)


def _time_summary(group: str, mine: Sequence[TimeScore]) -> TimeScores:
    ratios = np.array([one.ratio for one in mine])
    low, median, high = (float(value) for value in np.quantile(ratios, (0.1, 0.5, 0.9)))
    return TimeScores(
        group=group,
        rows=len(mine),
        low_ratio=low,
        median_ratio=median,
        high_ratio=high,
        within_factor_2=float(np.mean((ratios >= 0.5) & (ratios <= 2))),
        inside_interval=float(np.mean([one.inside for one in mine])),
    )


def _score(point: Point, calibration: Calibration) -> PointScore:
    found = peak(point.job, point.counter, calibration, guessed=point.guessed)
    value, low, high = found.memory_gib.value or 0.0, found.memory_gib.low or 0.0, found.memory_gib.high or 0.0
    measured = point.measured_gib
    return PointScore(
        id=point.id,
        source=point.source,
        stratum=GUESSED if point.guessed else stratum(point.job),
        measured_gib=measured,
        estimated_gib=value,
        low_gib=low,
        high_gib=high,
        card_gib=point.card_gib,
        error=None if measured is None else value / measured - 1,
        inside=None if measured is None else low <= measured <= high,
        refused=None if measured is not None or point.card_gib is None else value > point.card_gib,
    )


def _groups(scored: Sequence[PointScore]) -> tuple[Scores, ...]:
    """All rows, then each source, then each stratum."""
    found = [_summary("all rows", scored)]
    found += [_summary(name, [one for one in scored if one.source == name]) for name in sorted({one.source for one in scored})]
    return (*found, *(_summary(name, [one for one in scored if one.stratum == name]) for name in sorted({one.stratum for one in scored})))


def _summary(group: str, scored: Sequence[PointScore]) -> Scores:
    errors = np.array([one.error for one in scored if one.error is not None])
    refused = [one.refused for one in scored if one.refused is not None]
    ratio = [one.high_gib / one.low_gib for one in scored if one.error is not None]
    absolute = np.abs(errors)

    def share(which: np.ndarray) -> float | None:
        return float(np.mean(which)) if len(errors) else None

    return Scores(
        group=group,
        rows=len(errors),
        mean_absolute_error=share(absolute),
        median_absolute_error=float(np.median(absolute)) if len(errors) else None,
        within_15_percent=share(absolute <= 0.15),
        within_30_percent=share(absolute <= 0.30),
        under_by_10_percent=share(errors < -0.10),
        inside_interval=share(np.array([bool(one.inside) for one in scored if one.error is not None])),
        median_high_over_low=float(np.median(ratio)) if ratio else None,
        out_of_memory_rows=len(refused),
        out_of_memory_right=sum(refused),
    )


def _counted(left_out: Sequence[LeftOutRow]) -> tuple[PointLeftOut, ...]:
    counts = Counter(one.reason for one in left_out)
    return tuple(
        PointLeftOut(reason=reason, ids=tuple(one.id for one in left_out if one.reason == reason)) for reason, _ in counts.most_common()
    )
