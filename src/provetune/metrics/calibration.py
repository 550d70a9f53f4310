"""Are the labels' probabilities honest: expected calibration error with its band under perfect calibration, and Brier score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from provetune.metrics.base import FloatArray, Metric, Need, Row

BINS = 10
NULL_DRAWS = 500
PROBABILITIES: frozenset[Need] = frozenset({"labels", "probabilities"})


def calibration_error(
    confidences: FloatArray, right: FloatArray, weights: FloatArray, bins: int = BINS, norm: Literal["l1", "l2", "max"] = "l1"
) -> FloatArray:
    """Gap between confidence and share of right answers over `bins` equal bins of confidence (Naeini et al. 2015), [B] values.

    `confidences`, `right` [n] of the likeliest label, `weights` [B, n]; l1 is the expected calibration error, l2 its root mean
    square form, max the largest gap of a bin.

    >>> bool(calibration_error(np.array([0.9, 0.9]), np.array([1.0, 0.0]), np.ones((1, 2)))[0].round(3) == 0.4)
    True
    """
    place = np.clip((confidences * bins).astype(int), 0, bins - 1)
    held = (place[:, None] == np.arange(bins)).astype(float)
    mass = weights @ held
    gaps = np.abs(weights @ (held * (right - confidences)[:, None]))
    share = np.divide(gaps, mass, out=np.zeros_like(gaps), where=mass > 0)
    portion = mass / weights.sum(axis=1, keepdims=True)
    found: FloatArray
    if norm == "max":
        found = share.max(axis=1)
    else:
        found = (portion * share).sum(axis=1) if norm == "l1" else np.sqrt((portion * share**2).sum(axis=1))
    return found


def null_band(confidences: FloatArray, seed: int, bins: int = BINS) -> tuple[float, float]:
    """Where 95 % of the expected calibration errors lie if these confidences [n] are perfectly honest (500 simulated sets).

    The error of an honest model is never 0: with 50 rows it is about 0.1. Only one above the band is a finding.
    """
    draw = np.random.default_rng(seed)
    ones = np.ones((1, len(confidences)))
    drawn = (draw.random((NULL_DRAWS, len(confidences))) < confidences).astype(float)
    errors = [calibration_error(confidences, right, ones, bins)[0] for right in drawn]
    low, high = np.quantile(errors, [0.025, 0.975])
    return float(low), float(high)


def _observe(row: Row) -> tuple[float, ...] | None:
    """True label, likeliest label, its probability, Brier score of the row."""
    if len(row.probabilities) != len(row.labels) or not row.labels:
        return None
    probabilities = np.asarray(row.probabilities, dtype=float)
    truth, named = row.labels.index(row.target), int(probabilities.argmax())
    wanted = np.eye(len(row.labels))[truth]
    return (float(truth), float(named), float(probabilities[named]), float(((probabilities - wanted) ** 2).sum()))


def _ece(observations: FloatArray, weights: FloatArray) -> FloatArray:
    return calibration_error(observations[:, 2], (observations[:, 0] == observations[:, 1]).astype(float), weights)


def _brier(observations: FloatArray, weights: FloatArray) -> FloatArray:
    mean: FloatArray = weights @ observations[:, 3] / weights.sum(axis=1)
    return mean


def _has_probabilities(row: Row) -> bool:
    return bool(row.probabilities)


def _signature(rows: Sequence[Row]) -> str:
    """The band belongs beside the value: without it nobody can tell an honest model from one that is not."""
    confidences = np.array([max(row.probabilities) for row in rows if row.probabilities])
    low, high = null_band(confidences, seed=0) if len(confidences) else (0.0, 0.0)
    return f"bins:{BINS}|norm:l1" + (f"|if honest:{low:.3f}-{high:.3f}" if len(confidences) else "")


BRIER = Metric("brier", 1, "corpus", _observe, _brier, (0.0, 2.0), higher_is_better=False, needs=PROBABILITIES, applies=_has_probabilities)
ECE = replace(BRIER, name="ece", aggregate=_ece, bounds=(0.0, 1.0), signature=_signature)
