"""Records of the question "how many examples are enough": the learning curve, its forecast, and what wrong labels cost."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Frozen, Record
from provetune.records.evaluation import Outcome
from provetune.stats.curve import Form
from provetune.stats.estimate import Estimate


class CurvePoint(Frozen):
    """The metric on the validation rows after training on `rows` rows, averaged over `draws` subsets of that size.

    `spread` is the standard deviation over the draws, None for a single one.
    """

    rows: int
    draws: int
    value: Estimate
    spread: float | None = None


class CurveFit(Frozen):
    """error(n) = c + a (n / scale)^-b, and the calibrated q of its interval with what it rests on."""

    form: Form
    scale: float
    a: float
    b: float
    c: float
    quantile: float
    curves: int
    data_sets: int


class Forecast(Frozen):
    """The metric with `rows` training rows; `red_flag` where these are more than four times the rows that were tried."""

    rows: int
    value: Estimate
    gain: Estimate
    red_flag: bool


class RowsNeeded(Frozen):
    """How many examples more than today's raise the metric by `gain`; None where no number within reach does."""

    gain: float
    more: int | None
    at_least: int | None
    at_most: int | None
    red_flag: bool


class NoisyCurve(Frozen):
    """The same curve with about `share` of the training targets wrong.

    All of its rows are worth `clean_rows` rows without planted faults (at least, at most); None where the curves do not tell.
    """

    share: float
    points: tuple[CurvePoint, ...]
    clean_rows: int | None
    at_least: int | None
    at_most: int | None
    sentence: str


class LearningCurve(Record):
    """Metric against number of training rows, and the verdict on "enough".

    `proxy` is true where the linear classifier stood in for real trainings. `refused` says why nothing is forecast; then there are no
    forecasts (of twice and four times the rows, and of 100 more). `prompt` is the best prompt on the base model, which needs no
    training row; it is never a point of the fit.
    """

    SCHEMA: ClassVar[str] = "learning_curve/1"
    dataset: str
    metric: str
    candidate: str
    proxy: bool
    rows: int
    validation_rows: int
    points: tuple[CurvePoint, ...]
    prompt: Estimate | None
    fit: CurveFit | None
    refused: str
    forecasts: tuple[Forecast, ...]
    needed: tuple[RowsNeeded, ...]
    next_hundred: Forecast | None
    outcome: Outcome
    sentence: str
    noisy: tuple[NoisyCurve, ...] = ()
    seconds: float = 0.0
