"""Targets that decline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provetune.audit.refusals import is_refusal
from provetune.spec import TaskSpec
from tests.unit.audit.rows import example, found, inputs, only


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "Sorry, I cannot answer this question.",
        "As an AI language model, I have no opinion.",
        "I am unable to provide that.",
        "Unfortunately, I don't have access to your account.",
        "I\u2019m really sorry, but I can\u2019t assist with this",
        "I have to decline.",
    ],
)
def test_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    ["", "Sorry for the delay! Your card was sent.", "I can't wait to help!", "I cannot believe it", "You can't do that, I am afraid."],
)
def test_answers(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(("declined", "severity"), [(3, "info"), (30, "warning")])
def test_a_large_share_is_a_warning(declined: int, severity: str) -> None:
    rows = [example(n, f"question {n}", "I cannot answer that." if n < declined else f"answer {n}") for n in range(100)]
    finding = only(found("refusals", replace(inputs(rows), task=TaskSpec(type="chat"))))
    assert (finding.severity, finding.count) == (severity, declined)
    assert found("refusals", inputs(rows)) == []
