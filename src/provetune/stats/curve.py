"""Learning curves: the error as a power law of the number of training rows, and how far to trust it beyond them.

The error is 1 - metric. A fit to one's own points says little about how wrong its forecast is: resampling them covered
the truth in 38-75 % of cases where 80 % was asked for. The interval here is therefore calibrated on curves of
other data sets (`curve_quantiles.csv`, made by `scripts/calibrate_curves.py`): their forecasts were off by a factor of up to
exp(q ln(N/n)) in 80 % of the cases, n being the largest number of rows seen and N the one asked for.

Power laws of learning curves: Figueroa et al. 2012 (BMC Med. Inform. Decis. Mak. 12:8), Hestness et al. 2017 (arXiv 1712.00409);
ill-behaved curves: Viering and Loog 2022 (arXiv 2103.10948).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.special import ndtri

from provetune.stats.units import FloatArray, clipped

Form = Literal["pow2", "pow3"]
Range = tuple[float, float, float]
"""(value, low, high)."""

CONFIDENCE = 0.8
FEWEST_POINTS = 4
POINTS_FOR_POW3 = 6
RED_FLAG = 4.0
"""Forecasts for more than this many times the largest number of rows seen are marked as guesses."""
FARTHEST = 1000.0
_Z = float(ndtri((1 + CONFIDENCE) / 2))
_TABLE = Path(__file__).with_name("curve_quantiles.csv")
_EXPONENTS = np.geomspace(0.01, 3.0, 2000)


@dataclass(frozen=True)
class PowerLaws:
    """Fitted laws error(n) = c + a (n / scale)^-b, one entry of `a`, `b`, `c` [m] for each curve; `pow2` has c = 0."""

    form: Form
    scale: float
    a: FloatArray
    b: FloatArray
    c: FloatArray

    def at(self, rows: FloatArray) -> FloatArray:
        """Errors [m, k] at `rows` [k], at most 1."""
        x = np.asarray(rows, dtype=np.float64) / self.scale
        values: FloatArray = np.minimum(1.0, self.c[:, None] + self.a[:, None] * x[None, :] ** -self.b[:, None])
        return values


def form_for(points: int) -> Form:
    """`pow2` below 6 points, else `pow3`; the data never choose, which was worse on curves of known outcome."""
    return "pow3" if points >= POINTS_FOR_POW3 else "pow2"


def fit(rows: FloatArray, errors: FloatArray) -> PowerLaws:
    """Least squares of curves `errors` [m, k] measured at `rows` [k], residuals weighted by the square root of the rows.

    b lies in [0.01, 3], for pow2 in [0, 3] (a grid with steps of 0.3 %); a >= 0, 0 <= c <= 1. For each b the best a and c are exact.
    Raises ValueError on fewer than 4 points, sizes that are not distinct and positive, or errors outside [0, 1].

    >>> n = np.array([50.0, 100.0, 200.0, 400.0])
    >>> law = fit(n, 2 * n[None, :] ** -0.5)
    >>> round(float(law.b[0]), 2), round(float(law.at(np.array([1600.0]))[0, 0]), 3)
    (0.5, 0.05)
    """
    _check(rows, errors)
    form, scale = form_for(len(rows)), float(rows.max())
    exponents = np.concatenate([np.linspace(0, 0.01, 50, endpoint=False), _EXPONENTS]) if form == "pow2" else _EXPONENTS
    x = (rows / scale)[None, :] ** -exponents[:, None]
    weights = rows / rows.sum()
    a = (errors * weights) @ x.T / (weights * x**2).sum(axis=1)
    c = np.zeros_like(a)
    if form == "pow3":
        a, c = _with_floor(x, errors, weights, a)
    residuals = errors[:, None, :] - c[:, :, None] - a[:, :, None] * x[None, :, :]
    best = np.argmin((residuals**2 * weights).sum(axis=2), axis=1)
    each = np.arange(len(errors))
    return PowerLaws(form, scale, a[each, best], exponents[best], c[each, best])


def _with_floor(x: FloatArray, errors: FloatArray, weights: FloatArray, without: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Best a and c >= 0 for each exponent: both free, or, where one would be negative, on that bound."""
    x_mean, y_mean = (weights * x).sum(axis=1), (errors * weights).sum(axis=1)
    spread = (weights * (x - x_mean[:, None]) ** 2).sum(axis=1)
    a = (errors * weights) @ (x - x_mean[:, None]).T / spread
    c = y_mean[:, None] - a * x_mean[None, :]
    constant, no_floor = a < 0, (c < 0) & (a >= 0)
    a = np.where(constant, 0.0, np.where(no_floor, without, a))
    c = np.where(constant, y_mean[:, None], np.where(no_floor, 0.0, c))
    return a, c


def first_rise(errors: FloatArray, standard_errors: FloatArray) -> tuple[int, int] | None:
    """Places (i, j), i < j, between which the error rises by more than noise explains; None for a curve that falls or stays.

    One-sided level 5 % over all pairs (Bonferroni); points count as independent, so a rise must be clear. About one
    learning curve in seven is not monotone.

    >>> se = np.full(4, 0.01)
    >>> first_rise(np.array([0.4, 0.3, 0.2, 0.35]), se), first_rise(np.array([0.4, 0.3, 0.2, 0.21]), se)
    ((1, 3), None)
    """
    pairs = list(combinations(range(len(errors)), 2))
    limit = float(ndtri(1 - 0.05 / len(pairs)))
    rises = {
        pair: (errors[pair[1]] - errors[pair[0]]) / max(1e-12, float(np.hypot(standard_errors[pair[0]], standard_errors[pair[1]])))
        for pair in pairs
    }
    return next((pair for pair, rise in rises.items() if rise > limit), None)


@dataclass(frozen=True)
class Calibration:
    """`quantile` is q of the module's text; it rests on `predictions` of `curves` curves over `data_sets` data sets."""

    quantile: float
    curves: int
    data_sets: int
    predictions: int


def calibration_for(form: Form, candidate: Literal["linear", "tuned"]) -> Calibration:
    """What curves of other data sets say about forecasts of this form, for a linear stand-in or real trainings."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        found = next(row for row in csv.DictReader(file) if (row["form"], row["candidate"]) == (form, candidate))
    return Calibration(float(found["quantile"]), int(found["curves"]), int(found["data_sets"]), int(found["predictions"]))


def forecast_quantile(forecast: FloatArray, truth: FloatArray, ratio: FloatArray, confidence: float = CONFIDENCE) -> float:
    """The quantile of |ln(forecast / truth)| / ln(ratio) over known outcomes, with the finite-sample step of conformal prediction.

    >>> round(forecast_quantile(np.array([0.2, 0.1]), np.array([0.1, 0.1]), np.array([2.0, 4.0])), 3)
    1.0
    """
    off = np.sort(np.abs(np.log(forecast / truth)) / np.log(ratio))
    return float(off[min(len(off) - 1, int(np.ceil(confidence * (len(off) + 1))) - 1)])


@dataclass(frozen=True)
class Outlook:
    """What a fitted curve says about more rows (never fewer than those seen), at 80 %.

    `law` holds the fit, `drawn` the fits of resampled validation rows (their noise widens the calibrated interval), `seen` the
    largest number of rows measured, `now` the rows at hand, `quantile` the calibrated q.
    """

    law: PowerLaws
    drawn: PowerLaws
    seen: int
    now: int
    quantile: float

    def error_at(self, rows: float) -> Range:
        """Error with `rows` training rows."""
        now, value = self.law.at(np.array([self.seen, max(rows, self.seen)]))[0]
        noise = _Z * float(np.std(np.log(self.drawn.at(np.array([rows]))[:, 0])))
        half = float(np.hypot(self.quantile * np.log(max(1.0, rows / self.seen)), noise))
        worst = max(value, now) * np.exp(noise)  # more rows do not hurt: a curve that rises is not continued
        return float(value), *clipped(value * np.exp(-half), min(worst, value * np.exp(half)), (0.0, 1.0))

    def gain_at(self, rows: float) -> Range:
        """How much lower the error is with `rows` training rows than with those at hand."""
        value, low, high = (float(part[0]) for part in self._gains(np.array([rows])))
        return value, low, high

    def rows_for(self, gain: float) -> tuple[float | None, float | None, float | None]:
        """Rows at which the error is lower by `gain`: (by the fit, at the earliest, at the latest).

        None where 1,000 times the rows are too few.
        """
        rows = self.now * np.geomspace(1.0, FARTHEST, 1500)
        value, low, high = (np.flatnonzero(gains >= gain) for gains in self._gains(rows))
        first, earliest, latest = (float(rows[reached[0]]) if len(reached) else None for reached in (value, high, low))
        return first, earliest, latest

    def _gains(self, rows: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(value, low, high), each [k]."""
        both = np.concatenate([[self.now], rows])
        errors, drawn = self.law.at(both)[0], self.drawn.at(both)
        value, then = errors[0] - errors[1:], errors[1:]
        factor = np.maximum(1.0, rows / self.seen) ** self.quantile
        noise = _Z * np.std(drawn[:, :1] - drawn[:, 1:], axis=0)
        low = np.maximum(value - np.hypot(then * (factor - 1), noise), np.minimum(value, 0.0) - noise)
        high = value + np.hypot(then * (1 - 1 / factor), noise)
        return value, low, high


def _check(rows: FloatArray, errors: FloatArray) -> None:
    if len(rows) < FEWEST_POINTS or errors.ndim != 2 or errors.shape[1] != len(rows):
        raise ValueError(f"found sizes {rows.shape} and errors {errors.shape}, wanted at least {FEWEST_POINTS} sizes and errors [m, sizes]")
    if rows.min() <= 0 or len(np.unique(rows)) < len(rows):
        raise ValueError(f"sizes are {rows.tolist()}, wanted distinct positive numbers")
    if not (np.isfinite(errors).all() and errors.min() >= 0 and errors.max() <= 1):
        raise ValueError("found an error outside [0, 1]")
