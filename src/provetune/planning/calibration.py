"""How far estimated memory is from measured: fitted on published runs, and the interval that follows.

The shipped numbers (calibration.json) come from all published rows by `python -m benchmarks.planner --write`; `--validate` fits
them again without the source that it scores.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

from provetune.planning.footprint import Counter, Fitted, Job, footprint
from provetune.planning.points import Point
from provetune.stats.estimate import Estimate

RESERVED, CONTEXT_GIB = 1.06, 0.6
"""What the allocator holds beyond what it hands out; what the driver holds besides (priors, until a probe measures them)."""
ALLOWANCE = 1.15
"""By how much the interval of all runs is widened each way: an unseen source differs from those seen.

1.05 leaves out an eighth of one published source, 1.1 a fiftieth; 1.2 makes high over low 2.0. Chosen between, not fitted.
"""
GUESSED = 1.2
"""The same for a model whose sizes are guessed: so far from their own are known models' estimates, at 5th and 95th percentile."""
FEWEST, SOURCES = 5, 2
"""A stratum speaks for itself from this many runs; its middle is used where they are from this many sources."""
FOUR_BITS = tuple(1 + step / 20 for step in range(17))
"""Values that are tried for `Fitted.four_bit`."""


@dataclass(frozen=True)
class Spread:
    """Measured over estimated memory in one group of runs: 5th, 50th, 90th and 95th percentile."""

    runs: int
    sources: int
    p05: float
    p50: float
    p90: float
    p95: float


@dataclass(frozen=True)
class Calibration:
    """The fitted constant, the sources that it is fitted to, and the spreads: of all runs, and by stratum."""

    fitted: Fitted
    sources: tuple[str, ...]
    all_runs: Spread
    strata: dict[str, Spread] = field(default_factory=dict)


def stratum(job: Job) -> str:
    """The group of runs whose errors are alike."""
    if job.unsharded_load:
        return "several GPUs, whole model loaded on each"
    if job.gpus > 1:
        return "several GPUs"
    if not job.checkpointing:
        return "1 GPU, no checkpointing, " + ("16-bit base" if job.base in ("fp32", "bf16") else "4-bit base")
    return "1 GPU, checkpointing, " + ("chunked or fused loss" if job.loss in ("chunked", "fused") else "full logits")


def estimated_gib(job: Job, counter: Counter, fitted: Fitted) -> float:
    """GiB as the counter would show them; tools that are not named are read as one that shows the whole device."""
    allocated = footprint(job, fitted).peak
    if counter == "allocated":
        return allocated
    return RESERVED * allocated + (0.0 if counter == "reserved" else CONTEXT_GIB)


def calibrate(points: Sequence[Point]) -> Calibration:
    """Fit to measured runs: the constant by the least mean relative error, the spreads as quantiles. Needs at least one measured run.

    Runs of models whose sizes are guessed say nothing of the formulas, and are passed over.
    """
    measured = [(point, point.measured_gib) for point in points if point.measured_gib is not None and not point.guessed]
    four = [(p, m) for p, m in measured if p.job.base not in ("fp32", "bf16") and not p.job.checkpointing]

    def error(value: float) -> float:
        return sum(abs(estimated_gib(p.job, p.counter, Fitted(value)) / m - 1) for p, m in four)

    fitted = Fitted(min(FOUR_BITS, key=error)) if four else Fitted()
    ratios = [(stratum(p.job), p.source, m / estimated_gib(p.job, p.counter, fitted)) for p, m in measured]
    names = sorted({name for name, _, _ in ratios})
    strata = {name: _spread([(source, ratio) for one, source, ratio in ratios if one == name]) for name in names}
    whole = _spread([(source, ratio) for _, source, ratio in ratios])
    return Calibration(
        fitted,
        tuple(sorted({p.source for p, _ in measured})),
        whole,
        {name: spread for name, spread in strata.items() if spread.runs >= FEWEST},
    )


def _spread(ratios: Sequence[tuple[str, float]]) -> Spread:
    values = np.array([ratio for _, ratio in ratios])
    quantiles = [round(float(q), 3) for q in np.quantile(values, (0.05, 0.5, 0.9, 0.95))]
    return Spread(len(values), len({source for source, _ in ratios}), *quantiles)


@cache
def shipped() -> Calibration:
    """The calibration in the package."""
    content = json.loads(files("provetune.planning").joinpath("calibration.json").read_text(encoding="utf-8"))
    return Calibration(
        Fitted(**content["fitted"]),
        tuple(content["sources"]),
        Spread(**content["all_runs"]),
        {name: Spread(**one) for name, one in content["strata"].items()},
    )


def to_json(calibration: Calibration) -> str:
    """As it is kept in the package."""
    return json.dumps(asdict(calibration), indent=1) + "\n"


@dataclass(frozen=True)
class Peak:
    """Peak memory in GiB of one GPU, the 90th percentile by which "fits" is judged, and whether such runs were ever measured."""

    memory_gib: Estimate
    p90: float
    known: bool


def peak(job: Job, counter: Counter, calibration: Calibration, *, guessed: bool = False) -> Peak:
    """Estimate with a 90 % interval: the hull of the job's stratum and of all runs, the latter widened for an unseen source.

    A combination that was never measured takes the widest of all strata, and says so. `guessed` sizes of the model widen it further.
    """
    gib, everything = estimated_gib(job, counter, calibration.fitted), calibration.all_runs
    name = stratum(job)
    own = calibration.strata.get(name)
    hull = [own] if own is not None else list(calibration.strata.values())
    low = min([everything.p05 / ALLOWANCE, *(one.p05 for one in hull)])
    high = max([everything.p95 * ALLOWANCE, *(one.p95 for one in hull)])
    p90 = max([everything.p90, *(one.p90 for one in hull)])
    middle = own.p50 if own is not None and own.sources >= SOURCES else everything.p50
    said = f"'{name}', {own.runs} published runs" if own is not None else f"the widest of all, as no run like '{name}' is published"
    text = f"weights, trained parameters, kept values, the larger of one layer and the loss; interval of {said}"
    wider = GUESSED if guessed else 1.0
    return Peak(
        Estimate(gib * middle, gib * low / wider, gib * high * wider, own.runs if own else 0, 0.9, text), gib * p90 * wider, own is not None
    )


def fits(middle: float, p90: float, available_gib: float) -> Literal["fits", "tight", "does not fit"]:
    """`fits` where the 90th percentile does, `does not fit` where not even the middle does, else `tight`."""
    if p90 <= available_gib:
        return "fits"
    return "tight" if middle <= available_gib else "does not fit"
