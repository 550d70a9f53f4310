"""Power laws against a general optimiser and known laws; the interval on curves of data sets left out of its calibration."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from provetune.evaluation.learning_curve import RISING
from provetune.stats.curve import Form, Outlook, PowerLaws, calibration_for, first_rise, fit, forecast_quantile, form_for
from provetune.stats.units import FloatArray
from tests.architecture.source import ROOT


def script() -> ModuleType:
    """scripts/calibrate_curves.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("calibrate_curves", ROOT / "scripts" / "calibrate_curves.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["calibrate_curves"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def doubled(first: float, points: int) -> FloatArray:
    return np.array([first * 2**step for step in range(points)], dtype=np.float64)


def weighted_squares(rows: FloatArray, errors: FloatArray, form: Form, found: FloatArray) -> float:
    a, b, c = (*found, 0.0) if form == "pow2" else found
    return float((rows * (c + a * (rows / rows.max()) ** -b - errors) ** 2).sum())


def best_by_scipy(rows: FloatArray, errors: FloatArray, form: Form) -> float:
    """Smallest weighted sum of squares that a general bounded optimiser finds from several starts."""
    low, high = ([0.0, 0.0], [np.inf, 3.0]) if form == "pow2" else ([0.0, 0.01, 0.0], [np.inf, 3.0, 1.0])

    def residuals(x: FloatArray) -> FloatArray:
        c = 0.0 if form == "pow2" else x[2]
        off: FloatArray = np.sqrt(rows) * (c + x[0] * (rows / rows.max()) ** -x[1] - errors)
        return off

    starts = [[0.1, b] if form == "pow2" else [0.1, b, c] for b in (0.05, 0.3, 1.0, 2.0) for c in (0.01, 0.1)]
    return min(2 * least_squares(residuals, start, bounds=(low, high), xtol=1e-12, ftol=1e-12).cost for start in starts)


@pytest.mark.parametrize("points", [4, 5, 6, 7])
def test_no_law_of_the_form_fits_better(points: int) -> None:
    draw = np.random.default_rng(points)
    for _ in range(12):
        rows = doubled(50, points)
        clean = draw.uniform(0, 0.3) + draw.uniform(1, 4) * rows ** -draw.uniform(0.2, 0.9)
        errors = np.clip(clean * np.exp(draw.normal(0, 0.08, points)), 0, 1)
        law, form = fit(rows, errors[None]), form_for(points)
        assert law.form == form == ("pow2" if points < 6 else "pow3")
        values = np.array([law.a[0], law.b[0], law.c[0]][: 2 if form == "pow2" else 3])
        ours, best = weighted_squares(rows, errors, form, values), best_by_scipy(rows, errors, form)
        assert ours <= best * 1.01 + 1e-9, "steps of 0.3 % of the exponent are fine enough"


@settings(deadline=None, max_examples=60)
@given(st.floats(0.05, 2.5), st.floats(0.01, 0.4), st.floats(0.0, 0.5))
def test_exact_laws_are_found_again(b: float, a: float, c: float) -> None:
    rows = doubled(100, 6)
    clean = np.minimum(1.0, c + a * (rows / rows.max()) ** -b)
    if clean.max() < 1:
        assert fit(rows, clean[None]).at(rows)[0] == pytest.approx(clean, abs=2e-3)


def test_a_published_curve_that_has_levelled_off() -> None:
    """An encoder-decoder translation model (Alabdulmohsin et al. 2022): error .931 at 5e5 rows, .3403 at 2.56e8, .3402 at 5.12e8.

    The two published ends and a floor of .34 fix the law; the points between are that law's.
    """
    rows = doubled(5e5, 10)
    b = np.log(0.591 / 0.0003) / np.log(rows[-1] / rows[0])
    law = fit(rows, (0.34 + 0.0003 * (rows / rows[-1]) ** -b)[None])
    assert float(law.at(np.array([5.12e8]))[0, 0]) == pytest.approx(0.3402, abs=1e-4)


def test_many_curves_are_fitted_as_one_by_one() -> None:
    draw, rows = np.random.default_rng(0), np.array([100.0, 200, 400, 800, 1600, 3200])
    errors = np.sort(draw.uniform(0.05, 0.9, (20, 6)), axis=1)[:, ::-1]
    together, alone = fit(rows, errors), [fit(rows, row[None]) for row in errors]
    assert together.at(rows) == pytest.approx(np.concatenate([law.at(rows) for law in alone]))


@pytest.mark.parametrize(
    ("rows", "errors", "words"),
    [
        ([50, 100, 200], [0.3, 0.2, 0.1], "at least 4 sizes"),
        ([50, 100, 200, 200], [0.4, 0.3, 0.2, 0.1], "distinct"),
        ([0, 100, 200, 400], [0.4, 0.3, 0.2, 0.1], "positive"),
        ([50, 100, 200, 400], [0.4, 0.3, 0.2, float("nan")], "outside"),
        ([50, 100, 200, 400], [1.4, 0.3, 0.2, 0.1], "outside"),
    ],
)
def test_points_that_are_no_curve_are_refused(rows: list[float], errors: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit(np.array(rows, dtype=float), np.array([errors]))


def test_a_rise_is_found_and_noise_is_not_taken_for_one() -> None:
    draw, se = np.random.default_rng(1), np.full(6, 0.02)
    flat, bump = np.full((4000, 6), 0.3), np.array([0.5, 0.4, 0.3, 0.45, 0.2, 0.15])
    alarms = np.mean([first_rise(row, se) is not None for row in flat + draw.normal(0, 0.02, flat.shape)])
    assert alarms < 0.05, "one-sided level over all pairs, on a curve that does not move at all"
    found = [first_rise(bump + draw.normal(0, 0.02, 6), se) for _ in range(500)]
    assert np.mean([pair is not None and pair[1] == 3 for pair in found]) > 0.95
    assert first_rise(np.array([0.5, 0.4, 0.4, 0.4]), np.zeros(4)) is None


def test_the_quantile_holds_new_forecasts_of_the_same_kind() -> None:
    """Split conformal prediction: at least 80 % on average over calibrations, and little more."""
    draw, inside = np.random.default_rng(2), []
    for _ in range(2000):
        ratio = draw.uniform(1.4, 4, 30)
        off = np.exp(draw.normal(0, 0.4, 30) * np.log(ratio))
        q = forecast_quantile(off[:-1], np.ones(29), ratio[:-1])
        inside.append(abs(np.log(off[-1])) <= q * np.log(ratio[-1]))
    assert 0.78 < np.mean(inside) < 0.84


def test_a_clear_gain_of_the_last_doubling_is_followed_by_another() -> None:
    """On the measured curves: the rule by which a curve counts as rising, with a margin of 2 points."""
    right = []
    for curve in script().read_curves():
        sizes = list(curve.error)
        for half, now, later in zip(sizes, sizes[2:], sizes[4:], strict=False):
            gained = curve.error[half] - curve.error[now]
            noise = 1.28 * 1.3 * np.sqrt(max(gained, 0.005) / curve.scored[0])  # the rows on which the two differ, and a few more
            if gained - noise >= RISING * 0.02:
                right.append(curve.error[now] - curve.error[later] >= 0.02)
    assert len(right) > 50 and np.mean(right) > 0.9


def outlook_of(a: float = 0.2, b: float = 0.4, c: float = 0.0, quantile: float = 0.3, spread: float = 0.0) -> Outlook:
    """A law over 1,000 rows at hand, all of them seen; `spread` is the noise of the fitted level."""
    levels = a * np.exp(spread * np.linspace(-2, 2, 41))
    law = PowerLaws("pow3", 1000.0, np.array([a]), np.array([b]), np.array([c]))
    return Outlook(law, PowerLaws("pow3", 1000.0, levels, np.full(41, b), np.full(41, c)), 1000, 1000, quantile)


def test_the_interval_is_the_calibrated_factor() -> None:
    value, low, high = outlook_of().error_at(4000)
    assert value == pytest.approx(0.2 * 4**-0.4) and (low, high) == pytest.approx((value / 4**0.3, value * 4**0.3))
    assert outlook_of().error_at(1000) == pytest.approx((0.2, 0.2, 0.2)), "nothing is extrapolated, and there is no noise"
    _, narrow, _ = outlook_of(spread=0.1).error_at(1000)
    assert narrow < 0.2, "few validation rows alone make the level uncertain"


def test_gains_and_the_rows_for_them_agree() -> None:
    outlook = outlook_of(spread=0.05)
    for wanted in (0.01, 0.03, 0.08):
        rows, earliest, latest = outlook.rows_for(wanted)
        assert rows is not None and earliest is not None and earliest < rows and (latest is None or latest > rows)
        assert outlook.gain_at(rows)[0] == pytest.approx(wanted, abs=1e-3)
    value, low, high = outlook.gain_at(2000)
    assert low < value < high and value == pytest.approx(0.2 * (1 - 2**-0.4))


def test_a_target_below_the_floor_is_never_reached() -> None:
    assert outlook_of(c=0.1, quantile=0.0).rows_for(0.25) == (None, None, None)
    rows, _, latest = outlook_of(a=0.1, c=0.1).rows_for(0.05)
    assert rows is not None and latest is None, "at worst the curve is already flat"
    assert outlook_of(b=0.01, quantile=0.0).rows_for(0.05) == (None, None, None), "1,000 times the rows are too few"


def test_the_package_brings_quantiles_from_enough_curves() -> None:
    for found in (calibration_for("pow2", "linear"), calibration_for("pow3", "linear"), calibration_for("pow2", "tuned")):
        assert 0.1 < found.quantile < 1.5 and found.curves >= found.data_sets >= 5 and found.predictions > found.curves


def test_eighty_per_cent_intervals_hold_curves_of_other_data_sets() -> None:
    """The measured curves, each data set left out of its own calibration; and the package's quantiles are these."""
    made = script()
    curves = made.read_curves()
    tuned = [curve for curve in curves if curve.candidate == "tuned"]
    assert len({curve.data_set for curve in curves}) >= 5 and 3 * len(tuned) >= len(curves)
    held = []
    for (form, candidate), forecasts in made.groups_of(curves).items():
        assert calibration_for(form, candidate).quantile == pytest.approx(made.quantile_of(forecasts), abs=6e-4)
        inside = [ok for _, ok in made.held(forecasts, forecasts)]
        held += inside
        if candidate == "tuned" or form == "pow2":
            assert 0.7 <= np.mean(inside) <= 0.9, (form, candidate)
    assert 0.7 <= np.mean(held) <= 0.9
