"""Monotonous prompts are a warning; one intent of a public set is not monotonous."""

from __future__ import annotations

from pathlib import Path

import pytest

from provetune.audit.diversity import measure_diversity
from tests.unit.audit.public import asked, banking, static
from tests.unit.audit.rows import NOUNS, example, found, only


def test_one_pattern_with_a_changing_word_is_a_warning(public_data: Path) -> None:
    rows = [example(n, f"{'Write' if n % 2 else 'Please write'} one short poem about number {n}.", "poem") for n in range(60)]
    finding = only(found("diversity", asked(rows, static(public_data))))
    assert (finding.severity, finding.count, finding.threshold) == ("warning", 60, 5.0)


def test_the_rows_of_a_single_intent_are_not(public_data: Path) -> None:
    rows = [row for row in banking(public_data) if row.label == "card_arrival"]
    assert found("diversity", asked(rows, static(public_data))) == []
    measured = measure_diversity(asked(rows, static(public_data)))
    assert measured is not None
    assert measured.vendi.value == pytest.approx(8.3, abs=0.05)


def test_few_rows_are_not_measured(public_data: Path) -> None:
    assert measure_diversity(asked([example(n, noun, "x") for n, noun in enumerate(NOUNS)], static(public_data))) is None
