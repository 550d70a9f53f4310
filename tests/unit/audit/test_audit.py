"""All checks together: silent on a clean set, ordered, encoded once, right on a public data set."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from provetune.audit import CHECKS, AuditInput, audit
from provetune.chat import TokenRow
from provetune.records.data import Example
from provetune.similarity import example_groups
from tests.unit.audit.rows import CLASSIFY, TOPICS, clean, encode, example, found, inputs, only


@pytest.mark.parametrize("name", CHECKS)
def test_a_clean_set_is_silent(name: str) -> None:
    test_rows = [example(900 + place, f"an unrelated question about {topic} and weather", topic) for place, topic in enumerate(TOPICS)]
    assert found(name, inputs(clean(), test_rows)) == []


@pytest.mark.parametrize("name", CHECKS)
def test_no_rows_raise_nothing(name: str) -> None:
    assert found(name, inputs([])) == [] or name == "size"


def test_a_finding_carries_at_most_50_ids_and_the_full_count() -> None:
    rows = [example(number, f"prompt <b>{number}</b>", TOPICS[number % 4]) for number in range(120)]
    finding = only(found("format", inputs(rows)))
    assert (len(finding.example_ids), finding.count) == (50, 120)


def test_the_report_puts_blockers_first_and_encodes_each_row_once() -> None:
    rows = [*clean(), example(99, "vault opens violin", " fees"), example(100, "vault opens  violin", " fees")]
    seen: list[str] = []

    def counted(row: Example) -> TokenRow:
        seen.append(row.id)
        return TokenRow(encode(row).ids, np.zeros(len(encode(row)), dtype=bool))

    report = audit(replace(inputs(rows), encode=counted), "data")
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=["blocker", "warning", "info"].index)
    assert [finding.check for finding in report.blockers] == ["loss_mask"]
    assert sorted(seen) == sorted(row.id for row in rows)
    assert report.label_counts == {"cards": 20, "cash": 20, "fees": 22, "loans": 20} == dict(sorted(report.label_counts.items()))
    assert (report.dataset, report.count, report.task) == ("data", 82, "classify")
    assert report.groups == {"r99": "r99", "r100": "r99"}
    assert type(report).from_json(report.to_json()) == report


def test_every_finding_says_what_to_do() -> None:
    rows = clean()[:20] + [example(99, "vault <b>opens violin", " fees"), example(100, "vault <b>opens  violin", "cash")]
    findings = audit(inputs(rows, rows[:3]), "data").findings
    assert len({finding.check for finding in findings}) >= 5
    assert all(finding.remedy.endswith((".", ")")) and finding.message.endswith(".") for finding in findings)


def test_without_a_tokenizer_the_rest_is_still_audited() -> None:
    report = audit(replace(inputs(clean()[:10]), tokenizer=None, encode=None), "data")
    assert report.tokens is None
    assert [finding.check for finding in report.findings] == ["size"]


def test_banking77(public_data: Path) -> None:
    def read(name: str) -> list[Example]:
        with (public_data / "banking77" / name).open(encoding="utf-8", newline="") as file:
            return [example(number, row["text"], row["category"]) for number, row in enumerate(csv.DictReader(file), start=2)]

    rows = read("train.csv")
    given = AuditInput(rows, CLASSIFY, None, None, example_groups(rows), read("test.csv"))
    report = audit(given, "banking77")
    counts = {finding.check: finding.count for finding in report.findings}
    assert counts["exact_duplicates"] == 12
    assert "11 equal" in next(finding.message for finding in report.findings if finding.check == "leaked_test_rows")
    assert "touching 22 of its 3,080 rows" in next(finding.message for finding in report.findings if finding.check == "leaked_test_rows")
    assert (len(report.label_counts), min(report.label_counts.values()), max(report.label_counts.values())) == (77, 35, 187)
    assert report.blockers == ()
    # none of the equal prompts has two labels; the one conflict is between nearly equal ones
    assert counts["conflicting_labels"] == 1
