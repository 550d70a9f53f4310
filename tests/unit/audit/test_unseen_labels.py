"""Labels that only one of the two files has."""

from __future__ import annotations

from dataclasses import replace

from provetune.spec import TaskSpec
from tests.unit.audit.rows import TOPICS, clean, example, found, inputs


def test_a_label_of_the_test_file_alone_blocks_and_one_of_the_rows_alone_is_told() -> None:
    test = [example(900 + n, f"question {n}", topic) for n, topic in enumerate(["mortgages", *TOPICS[:3]])]
    blocker, told = found("unseen_labels", inputs(clean(), test))
    assert (blocker.severity, blocker.count, blocker.example_ids) == ("blocker", 1, ())
    assert "mortgages" in blocker.message
    assert (told.severity, told.count) == ("info", 20)
    assert "cash" in told.message


def test_silent_without_a_test_file_or_labels() -> None:
    assert found("unseen_labels", inputs(clean())) == []
    test = [example(900, "question", "mortgages")]
    assert found("unseen_labels", replace(inputs(clean(), test), task=TaskSpec(type="generate"))) == []
