"""Labels out of completions; accuracy and macro F1 against published values and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef

from provetune.metrics import METRICS
from provetune.metrics.base import FloatArray, Row
from provetune.metrics.classification import macro_f1, parse_label


def value(name: str, targets: str, completions: str, labels: str) -> float:
    """The metric over rows given as texts with commas."""
    metric, known = METRICS[name], labels.split(",")
    rows = [metric.observe(Row(t, c, known)) for t, c in zip(targets.split(","), completions.split(","), strict=True)]
    return float(metric.aggregate(np.array(rows), np.ones((1, len(rows))))[0])


def test_reference_values() -> None:
    assert value("f1_macro", "0,1,2,0,1,2", "0,2,1,0,0,1", "0,1,2") == pytest.approx(0.8 / 3, abs=1e-12)  # .2667: per class .8, 0, 0
    for name, wanted in (("accuracy", 1 / 3), ("f1_micro", 1 / 3), ("f1_weighted", 0.8 / 3)):
        assert value(name, "0,1,2,0,1,2", "0,2,1,0,0,1", "0,1,2") == pytest.approx(wanted)


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


@pytest.mark.parametrize("seed", range(8))
def test_the_other_metrics_equal_scikit_learn(seed: int) -> None:
    draw = np.random.default_rng(100 + seed)
    truth, named = draw.integers(0, 5, 40), draw.integers(-1, 5, 40)
    truth[:5] = range(5)
    named = np.where(draw.random(40) < 0.5, truth, named)
    weights = draw.integers(0, 3, (4, 40)).astype(float)
    weights[:, :5] = 1
    rows = np.stack([truth, named], 1).astype(float)
    for place, row in enumerate(weights):
        known = list(range(5))
        wanted = {
            "f1_micro": f1_score(truth, named, labels=known, average="micro", sample_weight=row),
            "f1_weighted": f1_score(truth, named, labels=known, average="weighted", sample_weight=row, zero_division=0.0),
            "mcc": matthews_corrcoef(truth, named, sample_weight=row),
        }
        share = np.array([(row * (truth == k) * (named == k)).sum() / (row * (truth == k)).sum() for k in known])
        wanted["balanced_accuracy"] = share.mean()
        for name, number in wanted.items():
            assert METRICS[name].aggregate(rows, weights)[place] == pytest.approx(number, abs=1e-12), name


def test_balanced_accuracy_equals_scikit_learn_where_all_completions_are_labels() -> None:
    draw = np.random.default_rng(0)
    truth, named = draw.integers(0, 4, 60), draw.integers(0, 4, 60)
    found = METRICS["balanced_accuracy"].aggregate(np.stack([truth, named], 1).astype(float), np.ones((1, 60)))[0]
    assert found == pytest.approx(balanced_accuracy_score(truth, named))


def test_matthews_of_one_label_only() -> None:
    assert value("mcc", "a,a", "a,a", "a,b") == 1.0 and value("mcc", "a,a", "b,a", "a,b") == 0.0
    assert value("mcc", "a,b", "b,a", "a,b") == pytest.approx(-1.0)


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


def test_a_label_that_is_only_claimed_counts_in_the_macro_mean() -> None:
    truth, named = [0, 0, 1, 1], [0, 2, 1, 1]
    found = macro_f1(np.array([truth, named], dtype=float).T, np.ones((1, 4)))
    assert found[0] == pytest.approx(f1_score(truth, named, average="macro", zero_division=0)) and found[0] < 0.6
