"""From measured sizes to forecast and verdict, on observations made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from provetune.evaluation.learning_curve import Question, Sized, learning_curve, point_of, resampled_errors
from provetune.records.curve import LearningCurve
from provetune.records.evaluation import Evaluation
from tests.unit.records_by_hand import LABELS, examples_of, measured

ROWS = 1000
"""Validation rows."""
SIZES = (100, 200, 400, 800)
EXAMPLES = examples_of([LABELS[k % 3] for k in range(ROWS)])


def evaluation(error: float, first_wrong: int = 0) -> Evaluation:
    """A candidate that is wrong on this share of the rows, beginning at `first_wrong`."""
    wrong = {(first_wrong + k) % ROWS for k in range(round(error * ROWS))}
    completions = [LABELS[(k + 1) % 3] if k in wrong else LABELS[k % 3] for k in range(ROWS)]
    return measured("tuned-lora", completions, EXAMPLES, part="validation")[0]


def sizes(errors: Sequence[float], rows: Sequence[int] = SIZES) -> list[Sized]:
    return [Sized(size, (evaluation(error),)) for size, error in zip(rows, errors, strict=True)]


def question(matters: float = 0.02, *, proxy: bool = False, rows: int = 800) -> Question:
    return Question("data", "accuracy", "linear" if proxy else "tuned-lora", proxy, rows, matters, floor=1 / 3)


def curve(errors: Sequence[float], noisy: dict[float, list[Sized]] | None = None, matters: float = 0.02) -> LearningCurve:
    return learning_curve(question(matters), sizes(errors), noisy or {}, 1.0)


def test_a_steep_curve_says_collect() -> None:
    found = curve([0.8, 0.56, 0.39, 0.275])
    assert found.outcome == "fail" and found.sentence.startswith("Not enough yet") and found.refused == ""
    doubled, fourfold = found.forecasts
    assert (doubled.rows, fourfold.rows) == (1600, 3200) and not fourfold.red_flag
    assert doubled.value.value == pytest.approx(1 - 0.8 * 16**-0.513, abs=0.01), "the law through these points"
    for forecast in found.forecasts:
        low, high = forecast.value.low, forecast.value.high
        assert low is not None and high is not None and low < (forecast.value.value or 0) < high
        assert forecast.value.confidence == 0.8
    hundred = found.next_hundred
    assert hundred is not None and hundred.rows == 900 and 0 < (hundred.gain.value or 0) < (doubled.gain.value or 0)
    assert LearningCurve.from_json(found.to_json()) == found


def test_a_flat_curve_says_stop() -> None:
    found = curve([0.2, 0.2, 0.2, 0.2])
    assert found.outcome == "pass" and "stop collecting" in found.sentence
    assert [n.more for n in found.needed] == [None, None, None] and all(n.red_flag for n in found.needed)


def test_a_curve_that_has_not_begun_to_rise_is_not_flat() -> None:
    """Large label sets stay near chance at first; that is no reason to stop."""
    found = curve([0.67, 0.67, 0.67, 0.67])
    assert found.outcome == "inconclusive" and "nothing is learned beyond 0.333" in found.sentence


def test_the_spread_of_trainings_keeps_a_curve_from_being_called_flat() -> None:
    steady = [Sized(100, (evaluation(0.2), evaluation(0.2), evaluation(0.2))), *sizes([0.2, 0.2, 0.2], SIZES[1:])]
    shaky = [Sized(100, (evaluation(0.15), evaluation(0.2), evaluation(0.25))), *sizes([0.2, 0.2, 0.2], SIZES[1:])]
    assert learning_curve(question(), steady, {}, 1.0).outcome == "pass"
    assert learning_curve(question(), shaky, {}, 1.0).outcome == "inconclusive"


def test_in_between_nothing_is_settled() -> None:
    found = curve([0.4, 0.36, 0.325, 0.29])
    assert found.outcome == "inconclusive" and "between" in found.sentence
    by_gain = {needed.gain: needed for needed in found.needed}
    more = by_gain[0.02]
    assert more.more is not None and more.at_least is not None and more.at_least < more.more
    assert more.at_most is None or more.at_most > more.more


def test_what_matters_is_the_project_s_own() -> None:
    gentle = [0.2, 0.19, 0.18, 0.17]
    assert curve(gentle, matters=0.3).outcome == "pass"
    assert curve(gentle, matters=0.0001).outcome != "pass"


def test_a_curve_that_rises_beyond_noise_is_not_continued() -> None:
    found = curve([0.4, 0.3, 0.2, 0.3])
    assert found.outcome == "inconclusive" and found.forecasts == () and found.fit is None
    assert "fell from 0.800 with 400 rows to 0.700 with 800" in found.refused and found.refused in found.sentence
    assert curve([0.4, 0.3, 0.28, 0.285]).refused == "", "a rise within noise is no reason"


def test_too_few_measured_sizes_are_said() -> None:
    three = learning_curve(question(), sizes([0.4, 0.3, 0.2], SIZES[:3]), {}, 1.0)
    assert "3 sizes" in three.refused and three.outcome == "inconclusive"


def test_beyond_four_times_the_tried_rows_it_is_a_guess() -> None:
    """A stand-in that was tried on 800 of 2,000 rows."""
    found = learning_curve(question(proxy=True, rows=2000), sizes([0.8, 0.56, 0.39, 0.275]), {}, 1.0)
    assert [(f.rows, f.red_flag) for f in found.forecasts] == [(4000, True), (8000, True)] and found.proxy


def test_a_point_holds_the_noise_of_rows_and_draws() -> None:
    one = point_of(Sized(100, (evaluation(0.3),)), "accuracy")
    three = point_of(Sized(100, (evaluation(0.2), evaluation(0.3), evaluation(0.4))), "accuracy")
    assert one.value.value == pytest.approx(three.value.value) and (one.draws, three.draws) == (1, 3)
    assert one.value.low is not None and three.value.low is not None and three.value.low < one.value.low
    perfect = point_of(Sized(100, (evaluation(0.0),)), "accuracy").value
    assert perfect.value == 1.0 and perfect.low is not None and perfect.low < 1.0, "never of zero width"


def test_resampling_draws_the_same_validation_rows_for_every_size() -> None:
    errors = resampled_errors(
        [Sized(100, (evaluation(0.3),)), Sized(200, (evaluation(0.3),)), Sized(400, (evaluation(0.2, 500),))], "accuracy"
    )
    assert errors.shape == (301, 3) and errors[0] == pytest.approx([0.3, 0.3, 0.2])
    assert (errors[:, 0] == errors[:, 1]).all() and errors[1:, 0].std() == pytest.approx((0.3 * 0.7 / ROWS) ** 0.5, rel=0.2)
    assert resampled_errors([Sized(100, (evaluation(0.0),))], "accuracy").min() == 0.5 / ROWS


def test_wrong_targets_cost_what_the_clean_curve_says() -> None:
    """800 noisy rows do as well as 200 clean ones: read off the clean curve."""
    clean = [0.8, 0.56, 0.39, 0.275]
    arm = sizes([0.85, 0.75, 0.65, 0.56])
    found = curve(clean, {0.2: arm}).noisy[0]
    assert found.clean_rows is not None and abs(found.clean_rows - 200) <= 2
    assert found.at_least is not None and found.at_most is not None and found.at_least <= 200 <= found.at_most
    assert found.sentence.startswith("800 rows with 20 % wrong targets are worth about 200 clean ones")


@pytest.mark.parametrize(("last", "words"), [(0.275, "did as well here as 800 clean ones"), (0.9, "fewer than 100 clean rows")])
def test_noise_beyond_the_clean_curve_is_not_given_a_number(last: float, words: str) -> None:
    found = curve([0.8, 0.56, 0.39, 0.275], {0.1: sizes([0.95, 0.94, 0.93, last])}).noisy[0]
    assert words in found.sentence and (found.clean_rows is None) == (last == 0.9)


def test_unmeasured_rows_are_left_out_of_the_numbers() -> None:
    completions: list[str | None] = [LABELS[k % 3] for k in range(ROWS)]
    completions[:100] = [None] * 100
    some = measured("tuned-lora", completions, EXAMPLES, part="validation")[0]
    assert np.all(resampled_errors([Sized(100, (some,))], "accuracy") == 0.5 / ROWS)
    assert point_of(Sized(100, (some,)), "accuracy").value.n == 900
