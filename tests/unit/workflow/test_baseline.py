"""What prompting reaches, and whether the test rows could prove that tuning is better."""

from __future__ import annotations

import pytest

from provetune.models.scripted import ScriptedGenerator
from provetune.workflow.baseline import baseline_report
from provetune.workflow.contender import Contender
from tests.unit.records_by_hand import LABELS, examples_of, measured

ROWS = examples_of([LABELS[k % 3] for k in range(60)])
NOBODY = ScriptedGenerator({})


def opponent(name: str, right: int, missing: int = 0) -> Contender:
    """The first `right` rows are right, the last `missing` were not measured."""
    texts = [e.target if place < right else "other" for place, e in enumerate(ROWS)]
    found, _ = measured(name, [None if place >= len(ROWS) - missing else text for place, text in enumerate(texts)], ROWS, part="validation")
    return Contender(found.candidate, NOBODY, (found,))


def test_the_best_comes_first_and_discordance_is_that_of_the_two_best() -> None:
    report = baseline_report("accuracy", [opponent("poor", 6), opponent("good", 30), opponent("better", 33)], 1000, 0.02)
    assert [result.name for result in report.results] == ["better", "good", "poor"]
    assert report.discordance == pytest.approx(3 / 60)
    assert report.best_prompt is not None and report.best_prompt.value.value == pytest.approx(0.55)


def test_much_is_left_and_much_can_be_proven() -> None:
    report = baseline_report("accuracy", [opponent("good", 30)], 3000, 0.02)
    assert report.worth_trying == "yes"
    assert "leaves 50.0 points" in report.sentence


def test_a_prompt_that_is_always_right_leaves_nothing_that_few_rows_could_show() -> None:
    report = baseline_report("accuracy", [opponent("perfect", 60)], 100, 0.02)
    assert report.worth_trying == "no"


def test_prompts_that_fail_alike_do_not_make_gains_unprovable() -> None:
    report = baseline_report("accuracy", [opponent("poor", 6), opponent("as poor", 7)], 3000, 0.02)
    assert report.discordance == pytest.approx(1 / 60)
    assert report.worth_trying == "yes" and list(report.provable) == ["0.1", "0.2", "0.3"]


def test_without_prompts_nothing_is_claimed() -> None:
    assert baseline_report("accuracy", [], 100, 0.02).worth_trying == "unclear"


def test_rows_that_were_not_measured_are_counted_and_are_no_wrong_answers() -> None:
    (result,) = baseline_report("accuracy", [opponent("good", 30, missing=10)], 100, 0.02).results
    assert result.not_measured == 10
    assert result.value.n == 50 and result.value.value == pytest.approx(30 / 50)


def test_without_a_second_prompt_the_gain_is_shown_for_three_assumptions() -> None:
    assert list(baseline_report("accuracy", [opponent("good", 30)], 200, 0.0).provable) == ["0.1", "0.2", "0.3"]
