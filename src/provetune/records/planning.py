"""What a plan says of every method and GPU, and how good its estimates were on published runs."""

from __future__ import annotations

from typing import ClassVar, Literal

from provetune.records.base import Frozen, Record
from provetune.stats.estimate import Estimate

Fits = Literal["fits", "tight", "does not fit", "unknown"]


class Rent(Frozen):
    """One offer for the whole work: US dollars an hour of the instance with `gpus` GPUs, and what the hours cost, rounded up as billed."""

    provider: str
    sku: str
    gpus: int
    tier: str
    region: str
    usd_per_hour: float
    as_of: str
    stale: bool
    cost_usd: Estimate


class GpuOption(Frozen):
    """One method on one kind of GPU: peak memory of one GPU (GiB), hours of training, hours besides, offers, cheapest first.

    `checkpointing`: whether layers are computed again to save memory. `note` says what else matters, such as missing bfloat16.
    """

    method: str
    gpu: str
    gpus: int
    memory_available_gib: float
    memory_gib: Estimate
    fits: Fits
    checkpointing: bool
    duration_h: Estimate
    besides_h: Estimate
    rents: tuple[Rent, ...]
    note: str = ""


class CostPlan(Record):
    """Memory, time and money of each method on each GPU, before anything is spent. Tokens are those of the base's own template.

    `lengths_from` says how tokens were counted; `options` are every method on every kind, in the order of the table of GPUs; `warnings`
    are for the reader. `project`: whether the rows are those of a project, or only a number was given.
    """

    SCHEMA: ClassVar[str] = "cost_plan/1"
    base: str
    parameters: int
    context_length: int
    shape_from: str
    train_rows: int
    test_rows: int
    tokens_per_epoch: int
    longest_row: int
    lengths_from: str
    epochs: dict[str, int]
    options: tuple[GpuOption, ...]
    smallest_provable_gain: float | None
    prices_as_of: str
    recommendation: str
    reason: str
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    project: bool = False


class PointLeftOut(Frozen):
    """Rows of a points file that are not scored, and why."""

    reason: str
    ids: tuple[str, ...]


class PointScore(Frozen):
    """One published run beside its estimate. `refused`: of a run that went out of memory, whether that was foreseen."""

    id: str
    source: str
    stratum: str
    measured_gib: float | None
    estimated_gib: float
    low_gib: float
    high_gib: float
    card_gib: float | None
    error: float | None
    inside: bool | None
    refused: bool | None


class Scores(Frozen):
    """Errors of a group of rows: (estimate - measured) / measured, as shares; None where the group has no measured row."""

    group: str
    rows: int
    mean_absolute_error: float | None
    median_absolute_error: float | None
    within_15_percent: float | None
    within_30_percent: float | None
    under_by_10_percent: float | None
    inside_interval: float | None
    median_high_over_low: float | None
    out_of_memory_rows: int
    out_of_memory_right: int


class TimeScore(Frozen):
    """Speed of one published run beside its estimate, of all GPUs together. `ratio`: hours estimated over hours measured."""

    id: str
    source: str
    measured_tokens_per_s: float
    estimated_tokens_per_s: float
    ratio: float
    inside: bool


class TimeScores(Frozen):
    """Hours estimated over measured in a group of rows: 10th, 50th and 90th percentile, shares between a half and two, and inside."""

    group: str
    rows: int
    low_ratio: float
    median_ratio: float
    high_ratio: float
    within_factor_2: float
    inside_interval: float


class Validation(Record):
    """The estimator on published runs: memory with constants fitted without the scored source, and as shipped; and hours.

    Of one source that the shipped constants are fitted to nothing can be held out, and `leave_one_source_out` is empty. `points`
    belong to it, else to `as_shipped`. Nothing of the hours is fitted.
    """

    SCHEMA: ClassVar[str] = "plan_validation/1"
    file: str
    rows: int
    left_out: tuple[PointLeftOut, ...]
    leave_one_source_out: tuple[Scores, ...]
    as_shipped: tuple[Scores, ...]
    points: tuple[PointScore, ...]
    time: tuple[TimeScores, ...] = ()
    time_points: tuple[TimeScore, ...] = ()
    time_left_out: tuple[PointLeftOut, ...] = ()
