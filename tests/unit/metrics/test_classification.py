"""Labels out of completions; accuracy and macro F1 against published values and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from provetune.metrics import METRICS
from provetune.metrics.base import FloatArray
from provetune.metrics.classification import macro_f1, parse_label


def value(name: str, targets: str, completions: str, labels: str) -> float:
    """The metric over rows given as texts with commas."""
    metric, known = METRICS[name], labels.split(",")
    rows = [metric.observe(t, c, known) for t, c in zip(targets.split(","), completions.split(","), strict=True)]
    return float(metric.aggregate(np.array(rows), np.ones((1, len(rows))))[0])


def test_reference_values() -> None:
    assert value("f1_macro", "0,1,2,0,1,2", "0,2,1,0,0,1", "0,1,2") == pytest.approx(0.8 / 3, abs=1e-12)  # .2667: per class .8, 0, 0
    assert value("accuracy", "0,1,2,0,1,2", "0,2,1,0,0,1", "0,1,2") == pytest.approx(1 / 3)


def test_a_stray_completion_is_wrong_but_no_class() -> None:
    assert value("f1_macro", "a,b,a,b", "a,b,a,OTHER", "a,b") == pytest.approx(5 / 6, abs=1e-12)  # .8333; .5556 with a class of its own
    assert value("accuracy", "a,b,a,b", "a,b,a,OTHER", "a,b") == 0.75


def test_nothing_but_stray_completions() -> None:
    assert value("f1_macro", "a,b", "x,y", "a,b") == 0.0
    assert value("accuracy", "a,b", ",", "a,b") == 0.0


@pytest.mark.parametrize("seed", range(8))
def test_macro_f1_equals_scikit_learn(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth, named = draw.integers(0, 6, 40), draw.integers(-1, 6, 40)
    weights = draw.integers(0, 3, (5, 40)).astype(float)
    found = macro_f1(np.stack([truth, named], 1).astype(float), weights)
    for row, value_ in zip(weights, found, strict=True):
        seen = sorted(set(truth[row > 0]) | set(named[row > 0]) - {-1})
        wanted = f1_score(truth, named, labels=seen, average="macro", sample_weight=row, zero_division=0.0)
        assert value_ == pytest.approx(wanted, abs=1e-12)


def test_a_weight_counts_as_that_many_rows() -> None:
    rows: FloatArray = np.array([[0, 0], [1, 0], [1, 1], [2, -1]], dtype=float)
    weights = np.array([[2.0, 1.0, 3.0, 0.0]])
    repeated = np.repeat(rows, [2, 1, 3, 0], axis=0)
    assert macro_f1(rows, weights)[0] == pytest.approx(macro_f1(repeated, np.ones((1, 6)))[0])


@pytest.mark.parametrize(
    ("completion", "named"),
    [
        ("refund", "refund"),
        (" Refund.\n", "refund"),
        ("REFUND", "refund"),
        ("refunds", None),
        ("refund or billing", None),
        ("The label is refund", None),
        ("", None),
        (".", None),
        ("U.S.", "U.S."),
        ("Straße", "straße"),
        ("apple", "apple"),
        ("Apple", "Apple"),
        ("APPLE", None),  # two labels differ in case only
    ],
)
def test_reading_a_label(completion: str, named: str | None) -> None:
    assert parse_label(completion, ["refund", "billing", "U.S.", "straße", "Apple", "apple"]) == named
