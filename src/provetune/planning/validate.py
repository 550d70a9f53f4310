"""Scores the memory estimate on published measurements: as shipped, and fitted again without the source that is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from provetune.planning.calibration import Calibration, calibrate, peak, shipped, stratum
from provetune.planning.points import LeftOutRow, Point, read_points
from provetune.records.planning import PointLeftOut, PointScore, Scores, Validation

DEFAULT_STACK = "1 GPU, checkpointing, chunked or fused loss"


def validate(file: Path) -> Validation:
    """The scores of all rows of a file of published measurements; DataError where it cannot be read."""
    points, left_out = read_points(file)
    held_out: dict[str, Calibration] = {}
    for source in sorted({point.source for point in points}):
        others = [point for point in points if point.source != source and point.measured_gib is not None]
        held_out[source] = calibrate(others) if others else shipped()
    apart = [_score(point, held_out[point.source]) for point in points]
    as_shipped = [_score(point, shipped()) for point in points]
    return Validation(
        file=str(file),
        rows=len(points) + len(left_out),
        left_out=_counted(left_out),
        leave_one_source_out=_groups(apart) if len(held_out) > 1 else (),
        as_shipped=_groups(as_shipped),
        points=tuple(apart if len(held_out) > 1 else as_shipped),
    )


def _score(point: Point, calibration: Calibration) -> PointScore:
    found = peak(point.job, point.counter, calibration)
    value, low, high = found.memory_gib.value or 0.0, found.memory_gib.low or 0.0, found.memory_gib.high or 0.0
    measured = point.measured_gib
    return PointScore(
        id=point.id,
        source=point.source,
        stratum=stratum(point.job),
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
