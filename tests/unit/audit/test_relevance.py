"""Rows unlike the test prompts: other domains are told apart as well as published, own rows are left alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from provetune.audit.relevance import measure_relevance
from tests.unit.audit.public import asked, banking, clinc, static
from tests.unit.audit.rows import clean, found, inputs, only


@pytest.mark.parametrize(("prompts", "others", "close"), [(20, 0.96, 0.71), (100, 0.97, 0.80), (500, 0.98, 0.83)])
def test_area_under_the_curve_of_banking77_against_clinc150(prompts: int, others: float, close: float, public_data: Path) -> None:
    # measured elsewhere with the same static model; few prompts depend on which ones are drawn
    domains = json.loads((public_data / "clinc150" / "domains.json").read_text(encoding="utf-8"))
    near = {label for name in ("banking", "credit_cards") for label in domains[name]}
    rows = banking(public_data, "test")[::4]
    rest = clinc(public_data)[::2]
    areas: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(3):
        pool = banking(public_data)
        test = [pool[place] for place in np.random.default_rng(seed).choice(len(pool), prompts, replace=False)]
        scored = measure_relevance(asked([*rows, *rest], static(public_data), test))
        assert scored is not None
        for is_near, found_areas in areas.items():
            kept = np.array([True] * len(rows) + [(row.label in near) == is_near for row in rest])
            own = np.array([True] * len(rows) + [False] * len(rest))
            found_areas.append(roc_auc_score(own[kept], scored.scores[kept]))
    assert np.mean(areas[False]) == pytest.approx(others, abs=0.02)
    assert np.mean(areas[True]) == pytest.approx(close, abs=0.09 if prompts == 20 else 0.03)


def test_rows_of_another_domain_are_a_warning_and_own_rows_are_none(public_data: Path) -> None:
    rows, test = banking(public_data)[::5], banking(public_data, "test")
    own = measure_relevance(asked(rows, static(public_data), test))
    assert own is not None
    assert len(own.far) / len(rows) == pytest.approx(0.055, abs=0.015)  # 5 % by the definition of the limit
    assert own.covered.low is not None
    assert own.covered.low > 0.9
    mixed = [*rows, *clinc(public_data)[:600]]
    finding = only(found("relevance", asked(mixed, static(public_data), test)))
    assert finding.severity == "warning"
    assert sum(int(row[1:]) >= 20_000 for row in finding.example_ids) >= 45


def test_not_measured_without_a_test_file_or_vectors(public_data: Path) -> None:
    assert measure_relevance(asked(clean(), static(public_data))) is None
    assert measure_relevance(asked(clean(), static(public_data), clean()[:19])) is None
    assert measure_relevance(inputs(clean(), clean())) is None
    assert measure_relevance(asked([], static(public_data), clean())) is None
