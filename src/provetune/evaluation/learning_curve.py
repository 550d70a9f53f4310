"""From measured sizes to the answer: the fitted curve, what more examples would bring, what wrong targets cost, the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from provetune.hashing import seed_of
from provetune.metrics import metric_named
from provetune.records.curve import CurveFit, CurvePoint, Forecast, LearningCurve, NoisyCurve, RowsNeeded
from provetune.records.evaluation import Evaluation, Outcome
from provetune.scoring import estimate_of, group_numbers, observation_array
from provetune.stats.curve import CONFIDENCE, FEWEST_POINTS, RED_FLAG, Outlook, calibration_for, first_rise, fit
from provetune.stats.estimate import Estimate
from provetune.stats.units import FloatArray, clipped

GAINS = (0.01, 0.02, 0.05)
"""Gains of the metric for which the number of further examples is told."""
TIMES = (2, 4)
RISING = 2
"""A last doubling that surely gained so many times what matters is taken to be followed by one that gains what matters."""
DRAWS = 300
_Z80, _Z95 = 1.2816, 1.96


@dataclass(frozen=True)
class Sized:
    """All candidates trained on subsets of one size, each measured on the same validation rows."""

    rows: int
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Question:
    """What the curve is about. `rows` are those at hand; a gain below `matters` is not worth collecting for.

    `floor` is what the metric reaches without any learning: the commonest label, or the best prompt.
    """

    dataset: str
    metric: str
    candidate: str
    proxy: bool
    rows: int
    matters: float
    floor: float
    prompt: Estimate | None = None


def learning_curve(question: Question, sizes: Sequence[Sized], noisy: Mapping[float, Sequence[Sized]], seconds: float) -> LearningCurve:
    """The record. Nothing is forecast where the curve is not measured at 4 sizes or rises by more than noise explains."""
    points = tuple(point_of(sized, question.metric) for sized in sizes)
    refused = _refusal(points)
    draft = LearningCurve(
        dataset=question.dataset,
        metric=question.metric,
        candidate=question.candidate,
        proxy=question.proxy,
        rows=question.rows,
        validation_rows=len(sizes[0].evaluations[0].example_ids),
        points=points,
        prompt=question.prompt,
        fit=None,
        refused=refused,
        forecasts=(),
        needed=(),
        next_hundred=None,
        outcome="inconclusive",
        sentence=f"Nothing is forecast: {refused}.",
        noisy=tuple(_noisy_curve(question, sizes, share, arm) for share, arm in noisy.items()),
        seconds=seconds,
    )
    return draft if refused else _forecast(question, draft, resampled_errors(sizes, question.metric))


def point_of(sized: Sized, metric: str) -> CurvePoint:
    """Mean over the draws of one size; its 95 % interval holds the noise of the validation rows and the spread of the draws."""
    found = [estimate_of(evaluation, metric, 0.95) for evaluation in sized.evaluations]
    measured = [(e.value, e.low, e.high) for e in found if e.value is not None and e.low is not None and e.high is not None]
    if not measured:
        return CurvePoint(rows=sized.rows, draws=0, value=Estimate(None, None, None, 0, 0.95, "not measured"))
    values, lows, highs = np.array(measured).T
    value = float(values.mean())
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    drawn = _Z95 * (spread or 0.0) / math.sqrt(len(values))
    low = value - math.hypot(float((values - lows).mean()), drawn)
    high = value + math.hypot(float((highs - values).mean()), drawn)
    method = found[0].method + (" and spread of draws" if len(values) > 1 else "")
    bounded = Estimate(value, *clipped(low, high, metric_named(metric).bounds), found[0].n, 0.95, method)
    return CurvePoint(rows=sized.rows, draws=len(values), value=bounded, spread=spread)


def resampled_errors(sizes: Sequence[Sized], metric: str) -> FloatArray:
    """1 - metric of every size, shape [1 + 300, sizes]: first as measured, then with the validation rows (or groups) drawn again."""
    rule, first = metric_named(metric), sizes[0].evaluations[0]
    rows = len(first.example_ids)
    numbers = group_numbers(first.group_ids)
    groups = np.arange(rows) if numbers is None else numbers
    count = int(groups.max()) + 1
    drawn = np.random.default_rng(seed_of("learning curve", metric)).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    weights = np.concatenate([np.ones((1, rows)), drawn[:, groups]]).astype(np.float64)

    def values(evaluation: Evaluation) -> FloatArray:
        kept = [place for place, row in enumerate(evaluation.observations[metric]) if row is not None]
        observed = observation_array([row for row in evaluation.observations[metric] if row is not None])
        return rule.aggregate(observed, weights[:, kept])

    columns = [np.mean([values(evaluation) for evaluation in sized.evaluations], axis=0) for sized in sizes]
    # an error of zero on few rows is not known to be zero
    errors: FloatArray = np.clip(1 - np.stack(columns, axis=1), 0.5 / rows, 1.0)
    return errors


def _refusal(points: Sequence[CurvePoint]) -> str:
    known = [(p.rows, p.value.value, p.value.low, p.value.high) for p in points]
    if len(known) < FEWEST_POINTS or any(value is None for _, value, _, _ in known):
        return f"the metric was measured at {sum(p.draws > 0 for p in points)} sizes, wanted at least {FEWEST_POINTS}"
    values = np.array([[v or 0.0, lo or 0.0, hi or 0.0] for _, v, lo, hi in known])
    rise = first_rise(1 - values[:, 0], (values[:, 2] - values[:, 1]) / (2 * _Z95))
    if rise is None:
        return ""
    (n, a), (m, b) = ((points[place].rows, values[place, 0]) for place in rise)
    return f"the metric fell from {a:.3f} with {n:,} rows to {b:.3f} with {m:,}, more than noise explains; such a curve cannot be continued"


def _forecast(question: Question, draft: LearningCurve, errors: FloatArray) -> LearningCurve:
    rows = np.array([point.rows for point in draft.points], dtype=np.float64)
    law = fit(rows, errors[:1])
    known = calibration_for(law.form, "linear" if question.proxy else "tuned")
    outlook = Outlook(law, fit(rows, errors[1:]), int(rows.max()), question.rows, known.quantile)
    forecasts = tuple(_at(outlook, question, times * question.rows, draft.validation_rows) for times in TIMES)
    needed = tuple(_needed(outlook, question.rows, gain) for gain in GAINS)
    outcome, sentence = _verdict(question, draft.points, _last_doubling(draft.points, errors), (forecasts[0], needed))
    fitted = CurveFit(
        form=law.form,
        scale=law.scale,
        a=float(law.a[0]),
        b=float(law.b[0]),
        c=float(law.c[0]),
        quantile=known.quantile,
        curves=known.curves,
        data_sets=known.data_sets,
    )
    return draft.model_copy(
        update={
            "fit": fitted,
            "forecasts": forecasts,
            "needed": needed,
            "next_hundred": _at(outlook, question, question.rows + 100, draft.validation_rows),
            "outcome": outcome,
            "sentence": sentence,
        },
    )


def _at(outlook: Outlook, question: Question, rows: int, validation_rows: int) -> Forecast:
    error, low, high = outlook.error_at(rows)
    method = "power law, interval calibrated on other data sets"
    return Forecast(
        rows=rows,
        value=Estimate(1 - error, 1 - high, 1 - low, validation_rows, CONFIDENCE, method),
        gain=Estimate(*outlook.gain_at(rows), validation_rows, CONFIDENCE, method),
        red_flag=rows > RED_FLAG * outlook.seen,
    )


def _needed(outlook: Outlook, now: int, gain: float) -> RowsNeeded:
    rows, earliest, latest = outlook.rows_for(gain)
    more, least, most = (None if found is None else max(1, math.ceil(found - now)) for found in (rows, earliest, latest))
    return RowsNeeded(gain=gain, more=more, at_least=least, at_most=most, red_flag=rows is None or rows > RED_FLAG * outlook.seen)


def _last_doubling(points: Sequence[CurvePoint], errors: FloatArray) -> tuple[float, float, float]:
    """Measured gain of the largest size over half of it, with its 80 % interval: noise of the validation rows and spread of the draws.

    A size that was drawn once is given the spread of the largest size that was drawn several times.
    """
    half = min(range(len(points) - 1), key=lambda place: abs(points[place].rows - points[-1].rows / 2))
    gains = errors[:, half] - errors[:, -1]
    known = next((point.spread for point in reversed(points) if point.spread is not None), 0.0)
    drawn = [(known if point.spread is None else point.spread) / math.sqrt(point.draws) for point in (points[half], points[-1])]
    noise = _Z80 * math.hypot(float(gains[1:].std()), *drawn)
    return float(gains[0]), float(gains[0]) - noise, float(gains[0]) + noise


def _verdict(
    question: Question, points: Sequence[CurvePoint], last: tuple[float, float, float], ahead: tuple[Forecast, Sequence[RowsNeeded]]
) -> tuple[Outcome, str]:
    doubled, needed = ahead
    forecast = (doubled.gain.value or 0.0, doubled.gain.low or 0.0, doubled.gain.high or 0.0)
    learned = (points[-1].value.low or 0.0) > question.floor
    said = f"twice the rows would change {question.metric} by {_points_text(forecast)}"
    before = f"the last doubling changed {question.metric} by {_points_text(last)}"
    rising = last[1] >= RISING * question.matters
    if learned and (last[2] < question.matters or (forecast[2] < question.matters and not rising)):
        flat = before if last[2] < question.matters else said
        return "pass", f"Enough, stop collecting: {flat}. Better labels, another base model or recipe may help; more of the same does not."
    if not learned:
        start = f"So far nothing is learned beyond {question.floor:.3f}, which needs no training"
        return "inconclusive", f"{start}; the start of a curve tells little."
    asked = next((item for item in needed if item.gain >= question.matters), needed[-1])
    if rising or forecast[1] >= question.matters:
        return "fail", f"Not enough yet: {before}; {said}. {needed_text(asked)}"
    return "inconclusive", f"The curve does not settle it: {said}. {needed_text(asked)}"


def _points_text(gain: tuple[float, float, float]) -> str:
    """A gain in points with its interval.

    >>> _points_text((0.012, -0.004, 0.03))
    '+1.2 points (80 %: -0.4 to +3.0)'
    """
    return f"{100 * gain[0]:+.1f} points (80 %: {100 * gain[1]:+.1f} to {100 * gain[2]:+.1f})"


def needed_text(needed: RowsNeeded) -> str:
    """One sentence: how many examples more, between which numbers.

    >>> needed_text(RowsNeeded(gain=0.02, more=1234, at_least=400, at_most=None, red_flag=False))
    '+2 points: about 1,200 more examples (between 400 and more than can be said).'
    """
    points = f"+{100 * needed.gain:g} point{'' if needed.gain == 0.01 else 's'}"
    if needed.more is None:
        reachable = "" if needed.at_least is None else f", at the earliest {rounded(needed.at_least)} more"
        return f"{points}: not within reach of this curve{reachable}."
    most = "more than can be said" if needed.at_most is None else rounded(needed.at_most)
    least = "0" if needed.at_least is None else rounded(needed.at_least)
    flag = "; a guess, since it is more than four times the rows that were tried" if needed.red_flag else ""
    return f"{points}: about {rounded(needed.more)} more examples (between {least} and {most}{flag})."


def rounded(count: int) -> str:
    """Two digits are all that a forecast is good for.

    >>> rounded(1234), rounded(87)
    ('1,200', '87')
    """
    return f"{float(f'{count:.2g}'):,.0f}"


def _noisy_curve(question: Question, sizes: Sequence[Sized], share: float, arm: Sequence[Sized]) -> NoisyCurve:
    """What all rows of the noisy arm are worth in clean rows, read off the clean curve between its measured sizes."""
    clean, noisy = resampled_errors(sizes, question.metric), resampled_errors(arm, question.metric)[:, -1]
    logs = np.log([sized.rows for sized in sizes])
    falling = np.minimum.accumulate(clean, axis=1)
    worth = np.array([np.interp(error, row[::-1], logs[::-1]) for error, row in zip(noisy, falling, strict=True)])
    least, most = np.quantile(worth[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    beyond = bool(noisy[0] > falling[0, 0])
    total, numbers = sizes[-1].rows, [round(math.exp(found)) for found in (worth[0], least, most)]
    start = f"{total:,} rows with {100 * share:.0f} % wrong targets"
    if beyond:
        sentence = f"{start} are worth fewer than {sizes[0].rows:,} clean rows, the fewest that were tried."
    elif numbers[0] >= total:
        sentence = f"{start} did as well here as {total:,} clean ones."
    else:
        sentence = f"{start} are worth about {rounded(numbers[0])} clean ones (80 %: {rounded(numbers[1])} to {rounded(numbers[2])})."
    values = (None, None, None) if beyond else tuple(numbers)
    return NoisyCurve(
        share=share,
        points=tuple(point_of(sized, question.metric) for sized in arm),
        clean_rows=values[0],
        at_least=values[1],
        at_most=values[2],
        sentence=sentence,
    )
