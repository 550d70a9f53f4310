"""Money from measured quality: figures computed by hand, and what stays unknown."""

from __future__ import annotations

import pytest

from provetune.evaluation.roi import return_on_investment
from provetune.records.evaluation import Comparison, Evaluation
from provetune.records.roi import Costs, Expert, Reach
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson
from tests.unit.records_by_hand import candidate_of, comparison_of, evaluation_of


def usd(value: float) -> Estimate:
    return Estimate(value, None, None, 0, 0.95, "given")


TUNED = evaluation_of("tuned", summary={"accuracy": (0.9, 0.85, 0.95)})
ZERO = evaluation_of("zero-shot", summary={"accuracy": (0.6, 0.5, 0.7)})
FEW = evaluation_of("few-shot", summary={"accuracy": (0.7, 0.6, 0.8)})
HOSTED = ZERO.model_copy(update={"candidate": candidate_of("big", "endpoint"), "summary": FEW.summary})
COMPARED: list[Comparison] = [comparison_of("few-shot", (0.2, 0.1, 0.3)), comparison_of("big", (0.2, -0.1, 0.5))]
COSTS = Costs(
    metric="accuracy",
    requests_per_month=10_000,
    usd_per_right=2.0,
    training_usd=100.0,
    setup_usd=900.0,
    upkeep_usd_per_month=500.0,
    months=10,
    usd_per_1k={"tuned": usd(3.0), "few-shot": usd(1.0), "zero-shot": usd(0.5), "big": usd(8.0)},
)


def ends(reach: Reach | None) -> tuple[float | None, ...]:
    return () if reach is None else (reach.value, reach.low, reach.high)


def others() -> list[Evaluation]:
    return [ZERO, HOSTED, FEW]


def test_gain_break_even_and_payback_by_hand() -> None:
    found = return_on_investment(COSTS, TUNED, others(), COMPARED)
    few, big = found.alternatives
    assert (few.name, big.name) == ("few-shot", "big"), "the best prompt, and every hosted model"
    gain = few.gain_usd_per_1k
    # 1,000 x 2 $ x 0.2 more right ones, minus 2 $ more of running cost; 200 $ and 600 $ at the ends of the difference
    assert gain is not None and [gain.value, gain.low, gain.high] == pytest.approx([398, 198, 598])
    # (500 $ upkeep + 1,000 $ over 10 months) a month
    assert ends(few.break_even_per_month) == pytest.approx((600e3 / 398, 600e3 / 598, 600e3 / 198))
    # 1,000 $ at 10 x 398 $ minus upkeep a month
    assert ends(few.payback_months) == pytest.approx((1000 / 3480, 1000 / 5480, 1000 / 1480))
    assert "398.00 $ [198.00, 598.00]" in found.sentence and "0.3 months [0.2, 0.7]" in found.sentence


def test_an_interval_across_zero_may_never_pay_back() -> None:
    big = return_on_investment(COSTS, TUNED, others(), COMPARED).alternatives[1]
    assert big.payback_months is not None and big.payback_months.value is not None and big.payback_months.high is None
    dear = COSTS.model_copy(update={"upkeep_usd_per_month": 1e6})
    found = return_on_investment(dear, TUNED, others(), COMPARED)
    assert found.alternatives[0].payback_months == Reach(value=None, low=None, high=None) and "never pays back" in found.sentence


def test_an_expert_is_compared_by_independent_intervals() -> None:
    expert = Expert(quality=wilson(48, 50), usd_per_1k=5_000.0)
    [person] = [a for a in return_on_investment(COSTS.model_copy(update={"expert": expert}), TUNED, [], []).alternatives]
    assert person.difference is not None and person.difference.value == pytest.approx(-0.06)
    assert person.gain_usd_per_1k is not None and person.gain_usd_per_1k.value == pytest.approx(2000 * -0.06 - 3 + 5000)


@pytest.mark.parametrize("lacking", ["metric", "usd_per_right", "training_usd", "requests_per_month", "usd_per_1k"])
def test_what_is_unknown_stays_unknown(lacking: str) -> None:
    empty: dict[str, Estimate] | None = {} if lacking == "usd_per_1k" else None
    found = return_on_investment(COSTS.model_copy(update={lacking: empty, "unknown": ("not given",)}), TUNED, others(), COMPARED)
    few = found.alternatives[0]
    assert few.payback_months is None
    assert (few.gain_usd_per_1k is None) == (lacking in ("metric", "usd_per_right", "usd_per_1k"))
    assert (few.break_even_per_month is None) == (lacking != "requests_per_month")
    assert "unknown" in found.sentence
