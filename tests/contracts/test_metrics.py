"""What every metric promises, whatever it measures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provetune.metrics import FOR_TASK, METRICS
from provetune.metrics.base import FloatArray, Metric, Row

LABELS = ("refund", "delivery", "where is my order?", "你好", "U.S.")
ANY_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(LABELS),
    st.sampled_from(["", "\x00", "\u2028", "🙂.", "NaN", "[1", "{}", "Anna paid 1,200.", '{"name": "f", "arguments": {}}', "I don't know"]),
)
PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), ANY_TEXT), min_size=1, max_size=8)
SCHEMA = '{"type": "object", "required": ["label"], "properties": {"label": {"type": "string", "minLength": 1}}}'

EVERY = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
FEW = settings(max_examples=15, deadline=None)
NOT_FROM_THE_TEXT = {"probabilities", "loglikelihood", "embedding"}


def row_of(metric: Metric, target: str, completion: str) -> Row:
    """A row that has all that the metric needs; a completion that equals the target is as good as can be."""
    same = completion == target
    meta = {"instructions": json.dumps([{"contains": target}]), "answerable": "no" if target == LABELS[0] else "yes"}
    sure, unsure = np.eye(len(LABELS))[LABELS.index(target)], np.full(len(LABELS), 1 / len(LABELS))
    nats, prompt = 0.0 if same else 2.0 + len(completion), target
    if metric.needs & {"json", "schema"} or metric.name == "json_valid":
        target = json.dumps({"label": target}, ensure_ascii=False)
    if "tools" in metric.needs:
        target = json.dumps({"name": "route", "arguments": {"label": target}}, ensure_ascii=False)
    return Row(
        target=target,
        completion=target if same else completion,
        labels=LABELS,
        prompt=prompt,
        schema=SCHEMA,
        meta=meta,
        probabilities=tuple(sure if same else unsure),
        nats=nats,
        tokens=2,
        similarity=1.0 if same else 0.25,
    )


def observed(metric: Metric, pairs: list[tuple[str, str]]) -> FloatArray:
    rows = [metric.observe(row_of(metric, target, completion)) for target, completion in pairs]
    assert all(row is not None for row in rows)
    return np.array(rows, dtype=float)


def plain(metric: Metric, observations: FloatArray) -> float:
    return float(metric.aggregate(observations, np.ones((1, len(observations))))[0])


@EVERY
def test_the_table_is_keyed_by_name(metric: Metric) -> None:
    assert METRICS[metric.name] is metric and metric.version >= 1 and metric.bounds[0] < metric.bounds[1]


def test_every_task_has_known_metrics() -> None:
    assert set(FOR_TASK) == {"classify", "extract", "generate", "chat"}
    assert all(names and set(names) <= set(METRICS) for names in FOR_TASK.values())


def test_a_metric_where_less_is_better_is_computed_from_all_rows() -> None:
    # the difference of two such metrics is turned round by turning the aggregate round, which only this kind goes through
    assert {metric.kind for metric in METRICS.values() if not metric.higher_is_better} == {"corpus"}


@EVERY
@FEW
@given(pairs=PAIRS)
def test_any_completion_is_observed_as_finite_numbers(metric: Metric, pairs: list[tuple[str, str]]) -> None:
    rows = observed(metric, pairs)
    assert rows.ndim == 2 and np.isfinite(rows).all()
    if metric.kind == "binary":
        assert np.isin(rows[:, 0], (0.0, 1.0)).all()
    if metric.kind == "corpus":
        assert rows.shape[1] >= 2
    else:
        assert plain(metric, rows) == pytest.approx(rows[:, 0].mean(), abs=1e-12)
    assert isinstance(metric.signature([row_of(metric, *pair) for pair in pairs]), str)


@EVERY
@FEW
@given(pairs=PAIRS, seed=st.integers(0, 9))
def test_the_value_stays_within_its_bounds_and_weights_count_rows(metric: Metric, pairs: list[tuple[str, str]], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, (6, len(pairs))).astype(float)
    weights[:, 0] += 1  # something is drawn
    rows = observed(metric, pairs)
    values = metric.aggregate(rows, weights)
    assert values.shape == (6,) and np.isfinite(values).all()
    assert (values >= metric.bounds[0] - 1e-12).all() and (values <= metric.bounds[1] + 1e-12).all()
    repeated = np.repeat(rows, weights[0].astype(int), axis=0)
    assert values[0] == pytest.approx(plain(metric, repeated), abs=1e-9)
    if metric.name != "bleu":  # its smoothing counts half a match, whatever a row weighs
        assert metric.aggregate(rows, 3.7 * weights) == pytest.approx(values, abs=1e-9)


@EVERY
@FEW
@given(pairs=PAIRS, seed=st.integers(0, 9))
def test_the_order_of_the_rows_does_not_matter(metric: Metric, pairs: list[tuple[str, str]], seed: int) -> None:
    rows = observed(metric, pairs)
    mixed = rows[np.random.default_rng(seed).permutation(len(rows))]
    assert plain(metric, mixed) == pytest.approx(plain(metric, rows), abs=1e-12)


@EVERY
@FEW
@given(targets=st.lists(st.sampled_from(LABELS), min_size=1, max_size=8))
def test_perfect_completions_are_the_best_there_is(metric: Metric, targets: list[str]) -> None:
    rows = observed(metric, [(target, target) for target in targets])
    assert plain(metric, rows) == pytest.approx(metric.bounds[1] if metric.higher_is_better else metric.bounds[0])


@EVERY
def test_empty_completions_give_0(metric: Metric) -> None:
    if not metric.needs & NOT_FROM_THE_TEXT:
        assert plain(metric, observed(metric, [(target, "") for target in LABELS])) == 0.0


LONG = {
    "words": "The 3 cats of Anna sat. " * 4_200,
    "one word": "a" * 100_000,
    "no space": "你" * 100_000,
    "brackets": "[" * 100_000,
    "numbers": json.dumps(list(range(17_000))),
    "lines": "- a\n" * 25_000,
}


@EVERY
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_100_kb_are_measured(metric: Metric, text: str) -> None:
    rows = observed(metric, [(LABELS[0], text), (LABELS[1], LABELS[1])])
    assert np.isfinite(rows).all() and np.isfinite(plain(metric, rows))


@EVERY
def test_what_a_row_lacks_is_not_measured(metric: Metric) -> None:
    bare = Row("refund", "refund", LABELS)
    measured = metric.observe(bare) is not None
    assert measured == (not metric.needs - {"labels", "tools"})
    if not measured and not metric.needs & NOT_FROM_THE_TEXT:
        assert not metric.applies(bare)
