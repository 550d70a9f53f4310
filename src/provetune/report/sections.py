"""Values the templates print that are not fields of a record: charts, joined rows, groupings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from provetune.records.candidate import Candidate, TrainingRun
from provetune.records.curve import LearningCurve
from provetune.records.data import Finding
from provetune.report.inputs import (
    NOT_MEASURED,
    ReportInputs,
    champion_evaluation,
    deciding_comparisons,
    deciding_metric,
    evaluations_on_test,
    margin_against,
)
from provetune.report.svg import BarRow, ChartText, ForestRow, Series, bars, bars_table, forest_plot, forest_table, line_chart, line_table

_SEVERITIES = ("blocker", "warning", "info")
Figure = tuple[Markup, Markup]


@dataclass(frozen=True)
class OpeningLine:
    """One line of the ledger with its number and the share of error it is judged at."""

    number: int
    opening: Any
    judged_at: str
    current: bool


@dataclass(frozen=True)
class SettingLine:
    """One hyper-parameter: what was used, what was planned, and why."""

    name: str
    used: Any
    why: str


def scores_figure(inputs: ReportInputs) -> Figure:
    """Bars of every candidate's deciding score on the test split."""
    metric = deciding_metric(inputs.evidence)
    rows = [
        BarRow(e.candidate.name, e.summary.get(metric, NOT_MEASURED), e.candidate.name == inputs.evidence.champion)
        for e in evaluations_on_test(inputs.evidence)
    ]
    seen = "Longer is better; the whisker is the interval. The tuned candidate is darker and its words are bold."
    text = ChartText("scores", f"Score of every candidate ({metric})", seen, metric)
    return Markup(bars(rows, text)), Markup(bars_table(rows, text))


def differences_figure(inputs: ReportInputs) -> Figure:
    """Forest plot of champion minus each other candidate."""
    metric = deciding_metric(inputs.evidence)
    rows = [ForestRow(c.baseline, c.difference, margin_against(inputs.evidence, c.baseline)) for c in deciding_comparisons(inputs.evidence)]
    text = ChartText(
        "differences",
        f"{inputs.evidence.champion} minus each other candidate ({metric})",
        "Right of the solid line the tuned candidate is better; right of the dashed line it is better by the margin that was asked for.",
        f"difference in {metric}",
    )
    return Markup(forest_plot(rows, text)), Markup(forest_table(rows, text))


def loss_figure(run: TrainingRun, place: int) -> Figure:
    """Training loss (means over neighbouring steps) and validation loss of one run; of a head, that at each strength of its penalty."""
    looked = Series("validation loss", tuple((float(v.step), v.loss) for v in run.validation), dots=True)
    series = (Series("training loss", tuple((float(p.step), p.loss) for p in run.losses)), looked) if run.losses else (looked,)
    looks = f"validation loss at {len(run.validation)} looks; the best step was {run.best_step}."
    text = ChartText(
        f"loss-{place}",
        f"Loss while training, {run.method}, seed {run.seed} (training {place})",
        f"Training loss at {len(run.losses)} optimizer steps and {looks}",
        "optimizer step" if run.losses else "strength of the penalty, strongest first",
        "loss (nats per labelled token)",
    )
    return Markup(line_chart(series, text, best_step=run.best_step)), Markup(line_table(series, text))


def curve_figure(curve: LearningCurve) -> Figure:
    """The metric at each number of training rows, with the curves of planted wrong targets where they were measured."""
    arms = [("as they are", curve.points), *((f"{100 * arm.share:.0f} % wrong targets", arm.points) for arm in curve.noisy)]
    series = [
        Series(name, tuple((float(p.rows), p.value.value) for p in points if p.value.value is not None), True) for name, points in arms
    ]
    if curve.prompt is not None and curve.prompt.value is not None:
        ends = (float(curve.points[0].rows), float(curve.points[-1].rows))
        series.append(Series("best prompt, no training row", tuple((end, curve.prompt.value) for end in ends)))
    text = ChartText(
        "learning-curve",
        f"{curve.metric} on the validation rows by number of training rows",
        f"Measured at {len(curve.points)} sizes, {curve.candidate}.",
        "training rows",
        curve.metric,
    )
    return Markup(line_chart(series, text)), Markup(line_table(series, text))


def ledger(inputs: ReportInputs) -> tuple[OpeningLine, ...]:
    """Every opening of the test split, in order; the k-th is judged at alpha / k."""
    rule = next((r for r in inputs.evidence.rules if r.kind == "beats_baseline"), None)
    alpha = 1 - (rule.confidence if rule is not None else 0.95)
    return tuple(
        OpeningLine(k, opening, f"{alpha:.3g} / {k} = {alpha / k:.3g}", k == inputs.evidence.decision.opening)
        for k, opening in enumerate(inputs.evidence.openings, start=1)
    )


def findings_by_severity(inputs: ReportInputs) -> tuple[tuple[str, tuple[Finding, ...]], ...]:
    """Blockers, then warnings, then information; empty groups left out."""
    groups = ((severity, tuple(f for f in inputs.audit.findings if f.severity == severity)) for severity in _SEVERITIES)
    return tuple(group for group in groups if group[1])


def left_out_reasons(inputs: ReportInputs, shown: int = 10) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
    """Reason, count and the first ids of the rows that belong to no part, commonest first."""
    counts = Counter(inputs.split.left_out.values())
    return tuple(
        (reason, count, tuple(key for key, why in inputs.split.left_out.items() if why == reason)[:shown])
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def label_rows(inputs: ReportInputs) -> tuple[tuple[str, int], ...]:
    """Labels with their counts, commonest first."""
    return tuple(sorted(inputs.audit.label_counts.items(), key=lambda item: (-item[1], item[0])))


def settings_of(inputs: ReportInputs, run: TrainingRun) -> tuple[SettingLine, ...]:
    """Hyper-parameters of a run with the plan's reasons; a reason may be given per method as `lora.rank`."""
    why = inputs.plan.why
    reasons = {name: why.get(f"{run.method}.{name}") or why.get(name) or "" for name in run.hyperparameters}
    return tuple(SettingLine(name, used, reasons[name]) for name, used in run.hyperparameters.items())


def other_reasons(inputs: ReportInputs) -> tuple[tuple[str, str], ...]:
    """Reasons of the plan that belong to no hyper-parameter shown."""
    used = {name for run in inputs.runs for key in run.hyperparameters for name in (key, f"{run.method}.{key}")}
    return tuple((name, reason) for name, reason in inputs.plan.why.items() if name not in used)


def chosen_word(inputs: ReportInputs, run: TrainingRun) -> str:
    """Whether this run made the champion's weights."""
    champion = champion_evaluation(inputs.evidence)
    return "yes" if champion is not None and champion.candidate.weights_sha256 == run.weights_sha256 else "no"


def untried_options(inputs: ReportInputs) -> tuple[str, ...]:
    """Methods the plan weighed and no run tried."""
    tried = {run.method for run in inputs.runs}
    return tuple(option.method for option in inputs.plan.options if option.method not in tried)


def opponents(inputs: ReportInputs) -> tuple[Candidate, ...]:
    """Every candidate that is not tuned, once, in the order of the evidence."""
    seen: dict[str, Candidate] = {}
    for one in inputs.evidence.evaluations:
        if one.candidate.kind not in ("adapter", "full", "head"):
            seen.setdefault(one.candidate.name, one.candidate)
    return tuple(seen.values())
