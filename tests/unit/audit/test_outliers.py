"""Rows of other topics among Banking77's stand at the top of the list."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.unit.audit.public import asked, banking, clinc, static
from tests.unit.audit.rows import clean, found, inputs, only


def test_rows_of_other_topics_are_found(public_data: Path) -> None:
    domains = json.loads((public_data / "clinc150" / "domains.json").read_text(encoding="utf-8"))
    near = {label for name in ("banking", "credit_cards") for label in domains[name]}
    far = [row for row in clinc(public_data) if row.label not in near]
    planted = [far[place] for place in np.random.default_rng(0).choice(len(far), 30, replace=False)]
    rows = [*banking(public_data)[::3], *planted]
    finding = only(found("outliers", asked(rows, static(public_data))))
    ids = {row.id for row in planted}
    assert sum(row in ids for row in finding.example_ids[:20]) >= 12
    assert finding.severity == "info"
    assert finding.count < 0.03 * len(rows)


def test_silent_without_vectors_and_on_few_rows(public_data: Path) -> None:
    assert found("outliers", inputs(clean())) == []
    assert found("outliers", asked(clean()[:49], static(public_data))) == []
