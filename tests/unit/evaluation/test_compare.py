"""Paired comparisons of measured candidates."""

from __future__ import annotations

import pytest

from provetune.errors import EvidenceError
from provetune.evaluation import compare, confidence_at
from tests.unit.records_by_hand import examples_of, measured

ROWS = examples_of(["refund", "billing", "delivery", "refund"] * 12 + ["refund", "billing"])
RIGHT = [row.target for row in ROWS]


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_a_candidate_against_itself_differs_by_nothing(metric: str) -> None:
    written = [text if k % 3 else "billing" for k, text in enumerate(RIGHT)]
    itself, _ = measured("tuned", written, ROWS)
    found = compare(itself, itself, metric, 0.95)
    assert found.difference.value == 0.0 and found.p_value == 1.0
    assert (found.wins, found.ties, found.losses) == (0, 50, 0)
    assert found.difference.low is not None and found.difference.low < 0 < (found.difference.high or 0)  # never zero width


def test_the_published_interval() -> None:
    # 12 won, 2 lost, 36 tied: Bonett-Price [.0508917, .3337237]; McNemar mid-p of 12 and 2
    ours = [text if k >= 2 else "?" for k, text in enumerate(RIGHT)]
    theirs = [text if not 2 <= k < 14 else "?" for k, text in enumerate(RIGHT)]
    found = compare(measured("tuned", ours, ROWS)[0], measured("few-shot", theirs, ROWS)[0], "accuracy", 0.95)
    assert (found.candidate, found.baseline, found.wins, found.ties, found.losses) == ("tuned", "few-shot", 12, 36, 2)
    assert found.difference.value == pytest.approx(0.2)
    assert found.difference.low == pytest.approx(0.0508917, abs=1e-6) and found.difference.high == pytest.approx(0.3337237, abs=1e-6)
    assert found.p_value == pytest.approx(0.0074, abs=1e-3)


def test_swapped_candidates_mirror_the_difference() -> None:
    a, _ = measured("a", ["refund"] * 50, ROWS)
    b, _ = measured("b", ["billing"] * 50, ROWS)
    ab, ba = compare(a, b, "accuracy", 0.95), compare(b, a, "accuracy", 0.95)
    assert ab.difference.value == pytest.approx(-(ba.difference.value or 0)) and ab.p_value == pytest.approx(ba.p_value)
    assert (ab.wins, ab.losses) == (ba.losses, ba.wins)


def test_other_examples_are_refused() -> None:
    ours, _ = measured("tuned", RIGHT, ROWS)
    for others in (ROWS[:-1], ROWS[::-1]):
        theirs, _ = measured("few-shot", RIGHT, others)
        with pytest.raises(EvidenceError, match="tuned and few-shot were measured on different examples"):
            compare(ours, theirs, "accuracy", 0.95)


def test_only_rows_that_both_have_measured_are_compared() -> None:
    ours, _ = measured("tuned", [None if k < 5 else text for k, text in enumerate(RIGHT)], ROWS)
    theirs, _ = measured("few-shot", [None if 3 <= k < 10 else "?" for k in range(50)], ROWS)
    found = compare(ours, theirs, "accuracy", 0.95)
    assert (found.difference.n, found.wins, found.difference.value) == (40, 40, 1.0)


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_nothing_measured_is_no_difference_at_all(metric: str) -> None:
    ours, _ = measured("tuned", RIGHT, ROWS)
    theirs, _ = measured("few-shot", [None] * 50, ROWS)
    found = compare(ours, theirs, metric, 0.95)
    assert (found.difference.value, found.difference.low, found.p_value) == (None, None, None)
    assert (found.wins, found.ties, found.losses) == (0, 0, 0)


def test_rows_of_a_group_are_one_unit() -> None:
    rows = examples_of(RIGHT, [f"customer {k // 2}" for k in range(50)])
    ours, _ = measured("tuned", RIGHT, rows)
    theirs, _ = measured("few-shot", ["?" if k % 4 == 0 else text for k, text in enumerate(RIGHT)], rows)
    found = compare(ours, theirs, "accuracy", 0.95)
    assert found.difference.n == 25 and found.wins == 13


@pytest.mark.parametrize(("opening", "confidence"), [(1, 0.95), (2, 0.975), (5, 0.99)])
def test_alpha_is_divided_by_the_opening(opening: int, confidence: float) -> None:
    assert confidence_at(0.95, opening) == pytest.approx(confidence)


def test_a_later_opening_is_wider() -> None:
    ours, _ = measured("tuned", RIGHT, ROWS)
    theirs, _ = measured("few-shot", ["refund"] * 50, ROWS)
    widths = []
    for opening in (1, 2, 3):
        difference = compare(ours, theirs, "accuracy", confidence_at(0.95, opening)).difference
        assert difference.low is not None and difference.high is not None
        widths.append(difference.high - difference.low)
    assert widths == sorted(widths) and widths[0] < widths[2]
