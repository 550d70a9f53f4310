"""Has the model become worse? Labels against the error that was promised."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from provetune.monitoring.sample import Sample
from provetune.records.monitoring import Bets, HarmReading
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import clopper_pearson, wilson
from provetune.stats.sequential import ALARM, RUN_LENGTH, Betting, bets_against

WORSE = 0.10
"""A rise of the error that the number of missing labels is reckoned for."""
WEAK_TOLERANCE = 0.05
"""Feedback and judges err themselves: they must rise this much more than labels of people."""
_SURE = 0.90


def same_answer(label: str, prediction: str) -> bool:
    """Whether a prediction is the label, blanks and case aside.

    >>> same_answer("Refund ", "refund")
    True
    """
    return " ".join(label.split()).casefold() == " ".join(prediction.split()).casefold()


def held_out_error(sample: Sample) -> Estimate | None:
    """Share of wrong predictions among rows that have both; `high` is the one-sided 95 % bound. None without such rows."""
    wrong = [not same_answer(row.label, row.prediction) for row in sample.rows if row.label is not None and row.prediction is not None]
    return clopper_pearson(sum(wrong), len(wrong), _SURE) if wrong else None


def claim_from(error: Estimate, tolerance: float) -> float:
    """The mean loss that labels are tested against: upper bound of the held-out error plus the tolerance, between 0.01 and 0.99.

    >>> round(claim_from(clopper_pearson(20, 200, 0.90), 0.03), 3)
    0.172
    """
    return min(0.99, max(0.01, (1.0 if error.high is None else error.high) + tolerance))


def after(bets: Bets, losses: Sequence[float]) -> Bets:
    """The bets after more losses in [0, 1], in order of arrival."""
    state = _betting(bets).after(losses)
    return Bets(
        claim=bets.claim,
        seen=state.seen,
        total=bets.total + math.fsum(losses),
        products=state.products,
        sums=state.sums,
        highest=state.highest,
    )


def read_harm(bets: Bets, weak: Bets | None = None) -> HarmReading:
    """What the labels say so far. Only labels of people decide; `weak` ones are tested beside them."""
    state = _betting(bets)
    alarm = state.alarm()
    return HarmReading(
        claim=bets.claim,
        labels=bets.seen,
        error=_mean(bets),
        wealth=state.highest if bets.seen else 1.0,
        wealth_alarm=ALARM,
        run=state.run,
        run_alarm=RUN_LENGTH,
        alarm=alarm,
        weak=weak.seen if weak else 0,
        weak_error=_mean(weak) if weak and weak.seen else None,
        weak_alarm=bool(weak and weak.seen and _betting(weak).alarm()),
        needed=None if alarm else missing_labels(state),
    )


def harm_between(reference: Sample, window: Sample, tolerance: float = 0.03) -> HarmReading | None:
    """The window's own labels, in the order of their dates, against the reference's error; None where a side has none."""
    error = held_out_error(reference)
    known = [row for row in window.rows if row.label is not None and row.prediction is not None]
    if error is None or not known:
        return None
    losses = [float(not same_answer(row.label or "", row.prediction or "")) for row in sorted(known, key=lambda row: (row.at, row.id))]
    return read_harm(after(Bets(claim=claim_from(error, tolerance)), losses))


def missing_labels(state: Betting) -> int:
    """Labels after which a rise of the error by `WORSE` above the claim would have shown, at the speed its best stake grows.

    >>> missing_labels(Betting(0.12))
    77
    """
    error = min(1.0, state.claim + WORSE)
    stakes = bets_against(state.claim)
    growth = error * np.log1p(stakes * (1 - state.claim)) + (1 - error) * np.log1p(-stakes * state.claim)
    return max(1, math.ceil(math.log(ALARM / max(1e-3, min(state.wealth, ALARM))) / float(growth.max())))


def _betting(bets: Bets) -> Betting:
    return Betting(bets.claim, bets.seen, bets.products, bets.sums, bets.highest)


def _mean(bets: Bets) -> Estimate:
    """Mean loss; for losses that are not 0 or 1 Wilson's interval is too wide, which is the safe side."""
    found = wilson(round(bets.total), bets.seen)
    return Estimate(bets.total / bets.seen if bets.seen else None, found.low, found.high, bets.seen, found.confidence, found.method)
