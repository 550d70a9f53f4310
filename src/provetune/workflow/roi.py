"""What return on investment is computed from: the project file's `value`, measured seconds, the price of the machine, endpoints' prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from provetune.errors import DataError
from provetune.evaluation.roi import return_on_investment
from provetune.formats.jsonl import objects
from provetune.metrics import METRICS
from provetune.planning.budget import usd_per_hour
from provetune.records.candidate import Plan, TrainingRun
from provetune.records.endpoint import EndpointUse
from provetune.records.evaluation import Comparison, Evaluation
from provetune.records.roi import Costs, Expert, ReturnReport
from provetune.spec.parts import ExpertSpec, ValueSpec
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson
from provetune.workflow.project import Project

LOCAL = ("prompt", "adapter", "full", "head", "linear")
FEWEST_TIMED = 20
"""Rows below which the seconds of an evaluation say too little."""
_RIGHT = ("accuracy", "exact_match")


def returns(
    project: Project,
    made: tuple[Plan, Sequence[TrainingRun], Sequence[EndpointUse]],
    on_test: Sequence[Evaluation],
    comparisons: Sequence[Comparison],
    champion: str,
) -> ReturnReport:
    """The report of this run; `made` is what was planned, trained and asked of endpoints. DataError on feedback that cannot be read."""
    best = next(one for one in on_test if one.candidate.name == champion)
    costs = _costs(project, made, on_test, best)
    return return_on_investment(costs, best, [one for one in on_test if one is not best], comparisons)


def _costs(
    project: Project, made: tuple[Plan, Sequence[TrainingRun], Sequence[EndpointUse]], on_test: Sequence[Evaluation], champion: Evaluation
) -> Costs:
    value, (plan, runs, uses) = project.spec.value, made
    metric = next((name for name in (project.metric, *_RIGHT) if name in champion.metrics and METRICS[name].kind == "binary"), None)
    seconds = {one.candidate.name: 1000 * one.seconds / _asked(one) for one in on_test if _timed(one)}
    hourly = value.machine_usd_per_hour
    usd = (
        {} if hourly is None else {name: Estimate(s * hourly / 3600, None, None, 0, 0.95, "seconds x price") for name, s in seconds.items()}
    )
    usd |= {use.candidate: use.usd_per_1k for use in uses if use.usd_per_1k is not None}
    rate = value.reviewer_usd_per_hour
    return Costs(
        metric=metric,
        requests_per_month=value.requests_per_month,
        usd_per_right=None if rate is None or value.minutes_saved is None else rate * (value.minutes_saved + value.minutes_lost) / 60,
        training_usd=_training_usd(plan, runs, hourly),
        setup_usd=value.setup_usd,
        upkeep_usd_per_month=value.upkeep_usd_per_month,
        months=value.months,
        usd_per_1k=usd,
        seconds_per_1k=seconds,
        expert=None if value.expert is None else _expert(value.expert),
        satisfaction={} if value.feedback is None else satisfaction(project.folder / value.feedback, champion.candidate.name),
        unknown=(*_not_given(value, metric), *_untimed(on_test)),
    )


def satisfaction(file: Path, champion: str) -> dict[str, Estimate]:
    """Share of `helpful: true` by candidate; a line without one is about the champion. DataError with file and line on anything else."""
    counts: Counter[tuple[str, bool]] = Counter()
    for line, row in objects(file):
        if not isinstance(row.get("helpful"), bool):
            raise DataError(f"{file}:{line}: found helpful {row.get('helpful')!r}, wanted true or false; mend the line")
        counts[str(row.get("candidate") or champion), row["helpful"]] += 1
    return {name: wilson(counts[name, True], counts[name, True] + counts[name, False]) for name in sorted({name for name, _ in counts})}


def _asked(one: Evaluation) -> int:
    """Rows that took its seconds: those kept from an earlier call took none."""
    return len(one.example_ids) - one.not_measured - one.kept


def _timed(one: Evaluation) -> bool:
    """Whether its seconds, on this machine, say how long 1,000 requests take."""
    return one.candidate.kind in LOCAL and one.seconds > 0 and _asked(one) >= FEWEST_TIMED


def _untimed(on_test: Sequence[Evaluation]) -> list[str]:
    return [
        f"{one.kept:,} completions of {one.candidate.name} were kept from an earlier call, so its time is not known"
        for one in on_test
        if one.kept and not _timed(one)
    ]


def _not_given(value: ValueSpec, metric: str | None) -> list[str]:
    needed = {
        "machine_usd_per_hour": value.machine_usd_per_hour,
        "minutes_saved": value.minutes_saved,
        "reviewer_usd_per_hour": value.reviewer_usd_per_hour,
        "requests_per_month": value.requests_per_month,
    }
    missing = [f"value.{name}" for name, given in needed.items() if given is None]
    said = [f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not given"] if missing else []
    return said if metric else [*said, "no metric counts right completions (accuracy and exact_match do)"]


def _training_usd(plan: Plan, runs: Sequence[TrainingRun], hourly: float | None) -> float | None:
    """All trainings of the run, at the price given, else at the one that the plan assumes."""
    prices = [usd_per_hour(plan, run.method) if hourly is None else hourly for run in runs]
    known = [price * run.duration_s / 3600 for price, run in zip(prices, runs, strict=True) if price is not None]
    return sum(known) if len(known) == len(runs) else None


def _expert(given: ExpertSpec) -> Expert:
    share, rows = given.quality, given.rows
    exact = Estimate(share, None, None, 0, 0.95, "given")
    return Expert(quality=exact if rows is None else wilson(round(share * rows), rows), usd_per_1k=given.usd_per_1k)
