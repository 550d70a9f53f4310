"""What every metric promises, whatever it measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.metrics import FOR_TASK, METRICS
from provetune.metrics.base import FloatArray, Metric

LABELS = ("refund", "delivery", "where is my order?", "你好", "U.S.")
ANY_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(LABELS), st.sampled_from(["", "\x00", "\u2028", "🙂.", "NaN"])
)
PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), ANY_TEXT), min_size=1, max_size=12)


EVERY = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def observed(metric: Metric, pairs: list[tuple[str, str]]) -> FloatArray:
    return np.array([metric.observe(target, completion, LABELS) for target, completion in pairs])


@EVERY
def test_the_table_is_keyed_by_name(metric: Metric) -> None:
    assert METRICS[metric.name] is metric and metric.version >= 1 and metric.bounds[0] < metric.bounds[1]


def test_every_task_has_known_metrics() -> None:
    assert set(FOR_TASK) == {"classify", "extract", "generate", "chat"}
    assert all(names and set(names) <= set(METRICS) for names in FOR_TASK.values())


@EVERY
@given(pairs=PAIRS)
def test_any_completion_is_observed_as_finite_numbers(metric: Metric, pairs: list[tuple[str, str]]) -> None:
    rows = observed(metric, pairs)
    assert rows.ndim == 2 and np.isfinite(rows).all()
    if metric.kind == "binary":
        assert np.isin(rows[:, 0], (0.0, 1.0)).all()
    if metric.kind == "corpus":
        assert rows.shape[1] >= 2


@EVERY
@given(pairs=PAIRS, seed=st.integers(0, 9))
def test_the_value_stays_within_its_bounds(metric: Metric, pairs: list[tuple[str, str]], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, (6, len(pairs))).astype(float)
    weights[:, 0] += 1  # something is drawn
    values = metric.aggregate(observed(metric, pairs), weights)
    assert values.shape == (6,)
    assert (values >= metric.bounds[0] - 1e-12).all() and (values <= metric.bounds[1] + 1e-12).all()


@EVERY
@given(pairs=PAIRS, scale=st.floats(0.1, 50))
def test_the_scale_of_the_weights_does_not_matter(metric: Metric, pairs: list[tuple[str, str]], scale: float) -> None:
    rows, ones = observed(metric, pairs), np.ones((1, len(pairs)))
    assert metric.aggregate(rows, scale * ones)[0] == pytest.approx(metric.aggregate(rows, ones)[0], abs=1e-12)


@EVERY
@given(pairs=PAIRS, seed=st.integers(0, 9))
def test_the_order_of_the_rows_does_not_matter(metric: Metric, pairs: list[tuple[str, str]], seed: int) -> None:
    rows, ones = observed(metric, pairs), np.ones((1, len(pairs)))
    mixed = rows[np.random.default_rng(seed).permutation(len(rows))]
    assert metric.aggregate(mixed, ones)[0] == pytest.approx(metric.aggregate(rows, ones)[0], abs=1e-12)


@EVERY
@given(pairs=PAIRS, draw=st.data())
def test_a_row_of_weight_0_counts_for_nothing(metric: Metric, pairs: list[tuple[str, str]], draw: st.DataObject) -> None:
    rows = observed(metric, [*pairs, (LABELS[0], draw.draw(ANY_TEXT))])
    weights = np.ones((1, len(rows)))
    weights[0, -1] = 0
    alone = metric.aggregate(rows[:-1], np.ones((1, len(pairs))))[0]
    assert metric.aggregate(rows, weights)[0] == pytest.approx(alone, abs=1e-12)


@EVERY
@given(targets=st.lists(st.sampled_from(LABELS), min_size=1, max_size=12))
def test_perfect_completions_give_1(metric: Metric, targets: list[str]) -> None:
    rows = observed(metric, [(target, target) for target in targets])
    assert metric.aggregate(rows, np.ones((1, len(rows))))[0] == pytest.approx(1.0)


@EVERY
@given(targets=st.lists(st.sampled_from(LABELS), min_size=1, max_size=12))
def test_empty_completions_give_0(metric: Metric, targets: list[str]) -> None:
    rows = observed(metric, [(target, "") for target in targets])
    assert metric.aggregate(rows, np.ones((1, len(rows))))[0] == 0.0
