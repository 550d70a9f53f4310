"""Labels that are rare, missing or alone."""

from __future__ import annotations

from dataclasses import replace

from provetune.spec import TaskSpec
from tests.unit.audit.rows import TOPICS, clean, example, found, inputs, only


def test_a_label_seen_once_is_named() -> None:
    finding = only(found("label_counts", inputs([*clean(), example(99, "lonely question", "rare")])))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 1, ("r99",))
    assert "rare" in finding.message


def test_a_label_below_a_tenth_of_an_even_share() -> None:
    rows = [example(number, f"prompt {number}", "cards") for number in range(98)]
    rows += [example(number, f"prompt {number}", "loans") for number in range(98, 102)]
    finding = only(found("label_counts", inputs(rows)))  # 4 of 102 is below 5 %
    assert (finding.count, finding.threshold, finding.observed) == (1, 0.05, 4.0)
    rows += [example(number, f"prompt {number}", "loans") for number in range(102, 104)]
    assert found("label_counts", inputs(rows)) == []  # 6 of 104 is not


def test_one_label_or_none_blocks() -> None:
    rows = [example(number, f"prompt {number}", "cards") for number in range(60)]
    assert only(found("label_counts", inputs(rows))).severity == "blocker"
    unlabelled = [row.model_copy(update={"label": None}) for row in rows]
    assert "no label" in only(found("label_counts", inputs(unlabelled))).message
    assert found("label_counts", replace(inputs(rows), task=TaskSpec(type="generate"))) == []


def test_a_label_of_the_project_file_that_no_row_has() -> None:
    given = replace(inputs(clean()), task=TaskSpec(type="classify", labels=[*TOPICS, "mortgages"]))
    assert "mortgages" in only(found("label_counts", given)).message
