"""Wording that all rows share."""

from __future__ import annotations

from dataclasses import replace

from provetune.spec import TaskSpec
from tests.unit.audit.rows import TOPICS, clean, example, found, inputs, only

GENERATE = TaskSpec(type="generate")


def test_an_instruction_in_every_prompt_is_told_of() -> None:
    rows = [
        example(number, f"Which department? Message: {row.prompt_text}\nName the department:", row.target)
        for number, row in enumerate(clean())
    ]
    finding = only(found("boilerplate", inputs(rows)))
    assert (finding.severity, finding.count) == ("info", 80)
    assert "begin with 'Which department? Message:' and end with 'Name the department:'" in finding.message
    assert "task.system" in finding.remedy


def test_answers_that_begin_alike() -> None:
    answers = ["Thank you very much for your question number " + str(number) for number in range(30)]
    rows = [example(number, row.prompt_text, answers[number % 30]) for number, row in enumerate(clean())]
    whole = only(found("boilerplate", replace(inputs(rows), task=GENERATE)))
    assert whole.message == "All 80 targets begin with 'Thank you very much for your question number'."
    rows = rows[:20] + [example(100 + n, row.prompt_text, f"{row.prompt_text} is what I would say here") for n, row in enumerate(clean())]
    some = only(found("boilerplate", replace(inputs(rows), task=GENERATE)))
    assert some.count == 20
    assert "20.0%" in some.message and "'Thank you very much for'" in some.message


def test_labels_are_no_boilerplate() -> None:
    rows = [example(number, row.prompt_text, f"department of {TOPICS[number % 4]}") for number, row in enumerate(clean())]
    assert found("boilerplate", inputs(rows)) == []
