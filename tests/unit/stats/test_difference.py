"""The one comparison: each kind goes to its statistics, and all of them keep the same promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from provetune.stats.binary import mcnemar_mid_p, paired_shares
from provetune.stats.corpus import aggregate_interval, approximate_randomization_p, paired_aggregate_difference
from provetune.stats.difference import one_value, paired_difference
from provetune.stats.measure import Measure
from provetune.stats.proportion import clopper_pearson
from provetune.stats.resampling import mean_interval, paired_mean_difference, sign_flip_p
from provetune.stats.units import Resampling
from tests.unit.stats.known import known, mirrored

DRAW = Resampling(seed=1)
N = 60
GROUPS = np.arange(N) // 3


def first_column(rows: np.ndarray, weights: np.ndarray) -> Any:
    return weights @ rows[:, 0] / weights.sum(axis=1)


def share_right(rows: np.ndarray, weights: np.ndarray) -> Any:
    return weights @ (rows[:, 0] == rows[:, 1]).astype(float) / weights.sum(axis=1)


MEASURES = {
    "binary": Measure("binary", first_column),
    "mean": Measure("mean", first_column),
    "corpus": Measure("corpus", share_right),
}
KINDS = pytest.mark.parametrize("kind", list(MEASURES))
GROUPINGS = pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])


def observations(kind: str, level: float, seed: int) -> Any:
    generator = np.random.default_rng(seed)
    if kind == "mean":
        return generator.beta(5 * level, 5 * (1 - level), (N, 1))
    right = (generator.random(N) < level).astype(float)
    return right[:, None] if kind == "binary" else np.column_stack([np.ones(N), right])


def test_binary_uses_bonett_price_and_mid_p() -> None:
    candidate, baseline = observations("binary", 0.8, 0), observations("binary", 0.5, 1)
    found = paired_difference(MEASURES["binary"], candidate, baseline, None, DRAW)
    table: Any = [int(((candidate == right) & (baseline == 1 - right)).sum()) for right in (1, 0)]
    assert (found.wins, found.losses, found.ties) == (*table, N - sum(table))
    assert found.difference == paired_shares(table[0], table[1], N)
    assert (found.p_value, found.p_method) == (mcnemar_mid_p(table[0], table[1]), "McNemar mid-p")


def test_binary_in_groups_and_means_use_bootstrap_and_sign_flips() -> None:
    for kind, groups in (("binary", GROUPS), ("mean", None), ("mean", GROUPS)):
        candidate, baseline = observations(kind, 0.8, 0), observations(kind, 0.5, 1)
        found = paired_difference(MEASURES[kind], candidate, baseline, groups, DRAW)
        change = (candidate - baseline)[:, 0]
        assert found.difference == paired_mean_difference(change, groups, DRAW, bounds=(-1.0, 1.0))
        assert (found.p_value, found.p_method) == (sign_flip_p(change, groups, DRAW), "sign-flip permutation")
        assert found.difference.n == (N if groups is None else 20)


@GROUPINGS
def test_corpus_uses_the_whole_metric_and_counts_right_rows(groups: Any) -> None:
    candidate, baseline = observations("corpus", 0.8, 0), observations("corpus", 0.5, 1)
    found = paired_difference(MEASURES["corpus"], candidate, baseline, groups, DRAW)
    assert found.difference == paired_aggregate_difference(MEASURES["corpus"], candidate, baseline, groups, DRAW)
    assert found.p_value == approximate_randomization_p(MEASURES["corpus"], candidate, baseline, groups, DRAW)
    assert found.p_method == "approximate randomization"
    assert found.wins == int(((candidate[:, 1] == 1) & (baseline[:, 1] == 0)).sum())
    assert found.losses == int(((candidate[:, 1] == 0) & (baseline[:, 1] == 1)).sum())


def test_three_ways_to_the_same_accuracy_agree() -> None:
    right, other = observations("binary", 0.8, 0), observations("binary", 0.5, 1)
    as_pairs: Any = [np.column_stack([np.ones(N), rows[:, 0]]) for rows in (right, other)]
    binary = paired_difference(MEASURES["binary"], right, other, None, DRAW)
    mean = paired_difference(MEASURES["mean"], right, other, None, DRAW)
    corpus = paired_difference(MEASURES["corpus"], as_pairs[0], as_pairs[1], None, DRAW)
    for found in (mean, corpus):
        assert found.difference.value == pytest.approx(binary.difference.value)
        assert (found.wins, found.ties, found.losses) == (binary.wins, binary.ties, binary.losses)
        assert (found.difference.low, found.difference.high) == pytest.approx((binary.difference.low, binary.difference.high), abs=0.03)


@KINDS
@GROUPINGS
def test_swapping_mirrors(kind: Any, groups: Any) -> None:
    candidate, baseline = observations(kind, 0.8, 0), observations(kind, 0.5, 1)
    one = paired_difference(MEASURES[kind], candidate, baseline, groups, DRAW)
    two = paired_difference(MEASURES[kind], baseline, candidate, groups, DRAW)
    assert known(one.difference) == pytest.approx(mirrored(two.difference), abs=1e-12)
    assert (one.p_value, one.wins, one.ties, one.losses) == (two.p_value, two.losses, two.ties, two.wins)
    assert known(one.difference)[1] > 0
    assert one.p_value is not None and one.p_value < 0.05


@KINDS
def test_turning_a_result_around_is_swapping_the_rows(kind: Any) -> None:
    candidate, baseline = observations(kind, 0.8, 0), observations(kind, 0.5, 1)
    one = paired_difference(MEASURES[kind], candidate, baseline, None, DRAW).mirrored()
    two = paired_difference(MEASURES[kind], baseline, candidate, None, DRAW)
    assert known(one.difference) == pytest.approx(known(two.difference), abs=1e-12)
    assert (one.p_value, one.wins, one.ties, one.losses) == (two.p_value, two.wins, two.ties, two.losses)


@KINDS
@GROUPINGS
def test_against_itself_is_never_a_difference(kind: Any, groups: Any) -> None:
    rows = observations(kind, 0.7, 0)
    found = paired_difference(MEASURES[kind], rows, rows.copy(), groups, DRAW)
    assert (found.p_value, found.wins, found.ties, found.losses) == (1.0, 0, N, 0)
    value, low, high = known(found.difference)
    assert value == 0.0 and low < -0.04 and high > 0.04


@KINDS
def test_groups_of_one_row_are_no_groups(kind: Any) -> None:
    candidate, baseline = observations(kind, 0.8, 0), observations(kind, 0.5, 1)
    singles, measure = np.arange(N) + 7, MEASURES[kind]
    assert paired_difference(measure, candidate, baseline, singles, DRAW) == paired_difference(measure, candidate, baseline, None, DRAW)
    assert one_value(measure, candidate, singles, DRAW) == one_value(measure, candidate, None, DRAW)


def test_one_value_by_kind() -> None:
    for kind, groups in (("binary", GROUPS), ("mean", None), ("mean", GROUPS)):
        rows = observations(kind, 0.8, 0)
        assert one_value(MEASURES[kind], rows, groups, DRAW) == mean_interval(rows[:, 0], groups, DRAW, bounds=(0.0, 1.0))
    rows = observations("binary", 0.8, 0)
    assert one_value(MEASURES["binary"], rows, None, DRAW) == clopper_pearson(int(rows.sum()), N)
    rows = observations("corpus", 0.8, 0)
    assert one_value(MEASURES["corpus"], rows, GROUPS, DRAW) == aggregate_interval(MEASURES["corpus"], rows, GROUPS, DRAW)


def test_bounds_of_the_metric_bound_the_difference() -> None:
    measure = Measure("mean", first_column, bounds=(0.0, 10.0))
    high, low = np.full((5, 1), 10.0), np.zeros((5, 1))
    found = paired_difference(measure, high, low, None, DRAW)
    assert (found.difference.value, found.difference.high) == (10.0, 10.0)
    assert found.difference.low == pytest.approx(10 - 20 * (1 - 0.05 ** (1 / 5)))


@KINDS
def test_nothing_measured(kind: Any) -> None:
    empty = np.empty((0, 2))
    found = paired_difference(MEASURES[kind], empty, empty, None, DRAW)
    assert (found.p_value, found.wins, found.ties, found.losses) == (None, 0, 0, 0)
    for estimate in (found.difference, one_value(MEASURES[kind], empty, None, DRAW)):
        assert (estimate.value, estimate.low, estimate.high, estimate.n) == (None, None, None, 0)


def test_observations_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="a score other than 0 and 1"):
        paired_difference(MEASURES["binary"], np.full((3, 1), 0.5), np.ones((3, 1)), None, DRAW)
    with pytest.raises(ValueError, match="k >= 2 for kind 'corpus'"):
        one_value(MEASURES["corpus"], np.ones((3, 1)), None, DRAW)
    with pytest.raises(ValueError, match=r"wanted \[n, k\]"):
        one_value(MEASURES["mean"], np.ones(3), None, DRAW)
    with pytest.raises(ValueError, match="wanted the same rows of both"):
        paired_difference(MEASURES["mean"], np.ones((3, 1)), np.ones((4, 1)), None, DRAW)
    with pytest.raises(ValueError, match="one group number for each"):
        paired_difference(MEASURES["mean"], np.ones((3, 1)), np.ones((3, 1)), np.array([1, 1]), DRAW)
