"""The mean with a judge's help: cover, gain, and when it is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from provetune.stats.prediction_powered import prediction_powered_mean


def draws(n: int, agreement: float, seed: int) -> tuple[list[float], list[float], list[float]]:
    """People's labels with mean 0.85, the judge's on the same rows and on 2,000 others."""
    random = np.random.default_rng(seed)
    truth = (random.random(n + 2000) < 0.85).astype(float)
    judged = np.where(random.random(n + 2000) < agreement, truth, 1 - truth)
    return truth[:n].tolist(), judged[:n].tolist(), judged[n:].tolist()


@pytest.mark.parametrize(("n", "agreement"), [(50, 0.95), (200, 0.80), (200, 0.95), (400, 0.9)])
def test_it_covers_what_it_promises(n: int, agreement: float) -> None:
    found = [prediction_powered_mean(*draws(n, agreement, seed)) for seed in range(600)]
    covered = np.mean([one.low <= 0.85 <= one.high for one in found if one.low is not None and one.high is not None])
    assert covered >= 0.91 if n >= 200 else covered >= 0.89  # 99 % limit of 0.93 over 600; few labels: the plain mean's own cover


def test_a_good_judge_is_worth_labels() -> None:
    def width(agreement: float) -> float:
        found = [prediction_powered_mean(*draws(200, agreement, seed)) for seed in range(50)]
        return float(np.mean([(one.high or 0) - (one.low or 0) for one in found]))

    plain = 2 * 1.96 * np.sqrt(0.85 * 0.15 / 200)
    assert 2.4 < (plain / width(0.95)) ** 2 < 3.8 and 1.6 < (plain / width(0.90)) ** 2 < 2.3  # published effective labels


def test_few_labels_or_a_useless_judge_leave_the_mean_alone() -> None:
    assert prediction_powered_mean(*draws(199, 0.95, 0)).method == "mean of the labels"
    assert prediction_powered_mean(*draws(300, 0.55, 0)).method == "mean of the labels"
    assert prediction_powered_mean(*draws(300, 0.95, 0)).method == "prediction-powered mean"
    assert prediction_powered_mean([1], [1], [1, 1]).value is None
    alike = prediction_powered_mean([1.0] * 30, [1.0] * 30, [1.0] * 5)
    assert alike.low == pytest.approx(0.9) and alike.high == 1.0
    with pytest.raises(ValueError, match="as many"):
        prediction_powered_mean([1, 0], [1], [1])
