"""A file sorted by label."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from tests.unit.audit.rows import TOPICS, clean, example, found, inputs, only


def test_a_sorted_file_is_told_of() -> None:
    rows = sorted(clean(), key=lambda row: row.target)
    finding = only(found("sorted_by_label", inputs(rows)))
    assert (finding.severity, finding.count) == ("info", 76)  # 79 neighbours, 3 borders between 4 labels
    assert "96.2% of neighbouring rows" in finding.message
    assert "24.1%" in finding.message  # (4 * 20 * 19 / 80) / 79


def test_random_order_stays_silent() -> None:
    draw = random.Random(3)
    told = 0
    for _ in range(200):
        labels = draw.choices(TOPICS, weights=[5, 2, 2, 1], k=80)
        told += bool(found("sorted_by_label", inputs([example(n, row.prompt_text, labels[n]) for n, row in enumerate(clean())])))
    assert told == 0


def test_expectation_and_variance_are_those_of_shuffling() -> None:
    labels = np.repeat(np.arange(4), [10, 20, 30, 40])
    draw = np.random.default_rng(0)
    equal = [int((shuffled[1:] == shuffled[:-1]).sum()) for shuffled in (draw.permutation(labels) for _ in range(20_000))]
    squares, cubes, n = (labels.size, int((np.bincount(labels) ** 2).sum()), int((np.bincount(labels) ** 3).sum()))[1:] + (100,)
    assert np.mean(equal) == pytest.approx((squares - n) / n, rel=0.01)
    assert np.var(equal) == pytest.approx((squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n * n * (n - 1)), rel=0.03)


def test_banking77_is_sorted(public_data: Path) -> None:
    with (public_data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [example(number, row["text"], row["category"]) for number, row in enumerate(csv.DictReader(file))]
    assert only(found("sorted_by_label", inputs(rows[:3000]))).count == 2976
