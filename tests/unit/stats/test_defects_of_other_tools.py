"""Faults that were found in other evaluation tools, each as a test of ours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from provetune.gate import Measured, decide
from provetune.records.evaluation import Comparison, GateRule
from provetune.stats.binary import mcnemar_exact, mcnemar_mid_p, paired_shares
from provetune.stats.corpus import aggregate_interval
from provetune.stats.difference import paired_difference
from provetune.stats.measure import Measure
from provetune.stats.resampling import mean_interval
from provetune.stats.units import Resampling
from tests.unit.records_by_hand import evaluation_of
from tests.unit.stats.known import known, width

SHARE = Measure("binary", lambda rows, weights: weights @ rows[:, 0] / weights.sum(axis=1))


def test_defect_1_bootstrap_error_is_not_divided_by_the_number_of_draws() -> None:
    right = np.repeat([1.0, 0.0], [700, 300])
    analytic = np.sqrt(0.7 * 0.3 / 1000)
    for found in (
        mean_interval(right, None, Resampling(0, resamples=1000), bounds=(0.0, 1.0)),
        aggregate_interval(SHARE, right[:, None], None, Resampling(0, resamples=1000)),
    ):
        assert width(found) / (2 * norm.ppf(0.975)) == pytest.approx(analytic, rel=0.1)


def test_defect_5_no_disagreement_gives_p_one() -> None:
    assert mcnemar_exact(0, 0) == mcnemar_mid_p(0, 0) == 1.0
    same = np.ones((30, 1))
    assert paired_difference(SHARE, same, same, None, Resampling(0)).p_value == 1.0


@pytest.mark.parametrize(("kind", "margin"), [("beats_baseline", 0.02), ("beats_baseline", 0.0), ("not_worse_than", 0.05)])
def test_defect_11_twenty_rows_that_agree_prove_nothing(kind: str, margin: float) -> None:
    found = paired_shares(0, 0, 20)
    assert known(found) == pytest.approx((0.0, -0.1259913, 0.1259913), abs=1e-7)
    rule = GateRule.model_validate({"name": "rule", "kind": kind, "metric": "accuracy", "baseline": "base", "margin": margin})
    compared = Comparison(
        candidate="tuned", baseline="base", metric="accuracy", difference=found, p_value=1.0, p_method="", wins=0, ties=20, losses=0
    )
    assert decide([rule], Measured(evaluation_of("tuned", 20), [], [compared], (), 1, 0.95)).outcome == "inconclusive"


def test_defect_13_paired_data_get_a_paired_test() -> None:
    # 220 rows, 8 that only the candidate has right: the unpaired z test gives .080
    ours, theirs = np.repeat([1.0, 0.0], [213, 7])[:, None], np.repeat([1.0, 0.0], [205, 15])[:, None]
    shares, pooled = (213 / 220, 205 / 220), 418 / 440
    unpaired = 2 * norm.sf((shares[0] - shares[1]) / np.sqrt(2 * pooled * (1 - pooled) / 220))
    assert unpaired == pytest.approx(0.080, abs=5e-4) and mcnemar_exact(8, 0) == pytest.approx(0.008, abs=5e-4)
    found = paired_difference(SHARE, ours, theirs, None, Resampling(0))
    assert found.p_value is not None and found.p_value < 0.008 and known(found.difference)[1] > 0
