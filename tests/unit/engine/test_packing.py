"""Packs: every row once, prefixes found, a pure function of rows, seed and epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.chat import TokenRow
from provetune.engine import packing
from provetune.engine.packing import (
    MIN_PREFIX,
    PackSettings,
    cut_into_packs,
    find_groups,
    pack_rows,
    plan_epoch,
    rows_of,
    sharable,
    tokens_of,
)
from tests.models import random_rows
from tests.unit.engine.architectures import alike_rows

COUNTS = st.integers(1, 60)
# beginnings of three kinds, so that groups, subgroups and strangers occur
BEGINNINGS = st.lists(st.sampled_from(["a" * 30, "a" * 18, "a" * 40, "b" * 25, "", "ab"]), min_size=1, max_size=14)


def rows_with(beginnings: list[str], seed: int = 0) -> list[TokenRow]:
    draw = np.random.default_rng(seed)
    rows = []
    for beginning in beginnings:
        own = draw.integers(0, 5, int(draw.integers(2, 9)))
        ids = np.concatenate([np.frombuffer(beginning.encode(), np.uint8).astype(np.int64), own])
        rows.append(TokenRow(ids, np.arange(len(ids)) >= len(ids) - int(draw.integers(1, 3))))
    return rows


@given(beginnings=BEGINNINGS, seed=st.integers(0, 9))
def test_groups_hold_every_row_once_and_share_what_they_say(beginnings: list[str], seed: int) -> None:
    rows = rows_with(beginnings, seed)
    groups = find_groups(rows, range(len(rows)))
    assert sorted(row for group in groups for row in group.rows) == list(range(len(rows)))
    for group in groups:
        assert group.prefix == 0 or (group.prefix >= MIN_PREFIX and len(group.rows) > 1)
        first = rows[group.rows[0]].ids[: group.prefix]
        for row in group.rows:
            assert np.array_equal(rows[row].ids[: group.prefix], first)
            assert group.prefix < len(rows[row]) and not rows[row].labelled[1 : group.prefix].any()


@given(beginnings=BEGINNINGS, seed=st.integers(0, 9))
def test_no_pair_of_groups_would_save_more_as_one(beginnings: list[str], seed: int) -> None:
    rows = rows_with(beginnings, seed)
    lengths = [len(row) for row in rows]
    groups = find_groups(rows, range(len(rows)))
    saved = sum(lengths) - tokens_of(tuple(groups), lengths)
    whole = min(sharable(row) for row in rows)
    common = next((i for i in range(whole) if len({int(row.ids[i]) for row in rows}) > 1), whole)
    assert saved >= (common * (len(rows) - 1) if common >= MIN_PREFIX else 0)


def test_a_labelled_token_is_never_shared() -> None:
    ids = np.arange(40)
    early, late = np.arange(40) >= 20, np.arange(40) >= 38
    [group] = find_groups([TokenRow(ids, early), TokenRow(ids.copy(), late)], [0, 1])
    assert group.prefix == 20


def test_equal_rows_share_all_but_their_labels() -> None:
    row = TokenRow(np.arange(50), np.arange(50) >= 47)
    [group] = find_groups([row] * 5, range(5))
    assert (group.prefix, group.rows) == (47, (0, 1, 2, 3, 4))


def test_several_instructions_in_one_data_set() -> None:
    rows = alike_rows([(60, 4), (40, 4), (0, 3)])
    assert {(group.prefix, group.rows) for group in find_groups(rows, range(11))} == {
        (60, (0, 1, 2, 3)),
        (40, (4, 5, 6, 7)),
        (0, (8, 9, 10)),
    }


def test_large_sets_are_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = alike_rows([(30, 20)])
    monkeypatch.setattr(packing, "GROUP_ROWS", 8)
    groups = find_groups(rows, range(20))
    assert [len(group.rows) for group in groups] == [8, 8, 4] and sorted(rows_of(tuple(groups))) == list(range(20))


@given(beginnings=BEGINNINGS, limit=st.integers(1, 120), share=st.booleans())
def test_packs_hold_every_row_once_within_the_limit(beginnings: list[str], limit: int, share: bool) -> None:
    rows = rows_with(beginnings)
    lengths = [len(row) for row in rows]
    packs = pack_rows(rows, range(len(rows)), PackSettings(limit, share))
    assert sorted(row for pack in packs for row in rows_of(pack)) == list(range(len(rows)))
    for pack in packs:
        assert tokens_of(pack, lengths) <= limit + pack[0].prefix or len(rows_of(pack)) == 1
        assert all(group.rows for group in pack)


def test_a_group_that_does_not_fit_stands_with_its_prefix_in_several_packs() -> None:
    rows = alike_rows([(30, 9)])
    lengths = [len(row) for row in rows]
    packs = cut_into_packs(find_groups(rows, range(9)), lengths, 30)
    assert len(packs) > 1 and all(group.prefix == 30 for pack in packs for group in pack)
    assert sum(tokens_of(pack, lengths) for pack in packs) == sum(lengths) - 30 * (9 - len(packs))


def test_a_row_longer_than_the_limit_stands_alone() -> None:
    rows = random_rows([3, 50, 3, 3])
    assert [rows_of(pack) for pack in pack_rows(rows, range(4), PackSettings(10))] == [[0, 2, 3], [1]]


@given(count=COUNTS, per_step=st.integers(1, 12), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_an_epoch_holds_every_row_once(count: int, per_step: int, seed: int, epoch: int) -> None:
    steps = plan_epoch(count, per_step, seed, epoch)
    assert sorted(row for step in steps for row in step) == list(range(count))
    sizes = list(map(len, steps))
    assert all(size == per_step for size in sizes[:-1]) and 1 <= sizes[-1] <= per_step
    assert steps == plan_epoch(count, per_step, seed, epoch)


def test_epochs_and_seeds_differ() -> None:
    orders = [str(plan_epoch(40, 4, seed, epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == len(orders)


def test_packs_are_a_function_of_the_rows() -> None:
    rows = alike_rows([(30, 5), (0, 4), (20, 3)])
    assert pack_rows(rows, range(12), PackSettings(90)) == pack_rows(rows, list(reversed(range(12))), PackSettings(90))


def test_a_group_must_save_what_it_costs() -> None:
    rows = alike_rows([(60, 4), (40, 4)])
    assert len(find_groups(rows, range(8))) == 2
    assert [group.prefix for group in find_groups(rows, range(8), 150)] == [60, 0]  # 3 x 60 tokens are saved, 3 x 40 are too few
    assert [group.prefix for group in find_groups(rows, range(8), 200)] == [0]
