"""Targets that echo the prompt, and ones that quote it rightly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provetune.audit import AuditInput
from provetune.records.data import Example
from provetune.spec import TaskSpec
from tests.unit.audit.rows import clean, example, found, inputs, only

PROMPT = "Where is the card that I ordered two weeks ago?"


def written(rows: list[Example]) -> AuditInput:
    return replace(inputs(rows), task=TaskSpec(type="generate"))


@pytest.mark.parametrize("target", [PROMPT, PROMPT.upper(), "Where is the card that I ordered two weeks ago"])
def test_an_echo_is_found(target: str) -> None:
    finding = only(found("copied_prompt", written([*clean(), example(99, PROMPT, target)])))
    assert (finding.severity, finding.count, finding.example_ids) == ("info", 1, ("r99",))


def test_four_words_are_judged_and_three_are_not() -> None:
    rows = [example(98, "Where is my card?", "Where is my card"), example(99, "Where is it?", "Where is it")]
    assert only(found("copied_prompt", written([*clean(), *rows]))).example_ids == ("r98",)


@pytest.mark.parametrize(
    "target",
    [
        "two weeks ago",
        "The card that you ordered two weeks ago is on its way.",
        "It was sent on Monday.",
        "",
        f"{PROMPT} It was sent on Monday.",
    ],
)
def test_an_answer_is_none(target: str) -> None:
    assert found("copied_prompt", written([*clean(), example(99, PROMPT, target)])) == []


def test_many_echoes_are_a_warning_and_labels_are_none() -> None:
    rows = [example(n, f"{PROMPT} {n}", f"{PROMPT} {n}" if n % 5 == 0 else "It was sent.") for n in range(100)]
    assert only(found("copied_prompt", written(rows))).severity == "warning"
    assert found("copied_prompt", inputs(rows)) == []
