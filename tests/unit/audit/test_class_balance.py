"""One label for nearly all rows, or few effective labels."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy.stats import entropy

from provetune.audit.class_balance import effective_number
from provetune.spec import TaskSpec
from tests.unit.audit.rows import example, found, inputs, only


def test_a_dominant_label_is_a_warning() -> None:
    rows = [example(n, f"prompt {n}", "usual" if n % 10 else "rare") for n in range(200)]
    finding = only(found("class_balance", inputs(rows)))
    assert (finding.severity, finding.count) == ("warning", 180)
    assert "would be right that often" in finding.message
    assert "f1_macro" in finding.remedy
    assert found("class_balance", replace(inputs(rows), task=TaskSpec(type="generate"))) == []


def test_few_effective_labels_are_a_word() -> None:
    rows = [example(n, f"prompt {n}", "usual" if n < 70 else f"label {n % 10}") for n in range(100)]
    finding = only(found("class_balance", inputs(rows)))
    assert (finding.severity, finding.threshold) == ("info", 5.5)
    assert finding.observed == pytest.approx(effective_number([70, *[3] * 10]))


def test_even_labels_are_silent() -> None:
    assert found("class_balance", inputs([example(n, f"prompt {n}", "ab"[n % 2]) for n in range(100)])) == []


def test_the_effective_number_is_the_exponential_of_the_entropy() -> None:
    assert effective_number([70, 20, 10]) == pytest.approx(2.718281828459045 ** entropy([0.7, 0.2, 0.1]))
