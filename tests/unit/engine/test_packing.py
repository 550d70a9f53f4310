"""The order of rows: every row once per epoch, a pure function of seed and epoch, packs within their limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provetune.engine.packing import pack_in_order, plan_epoch

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=50)


@given(lengths=LENGTHS, per_step=st.integers(1, 12), limit=st.integers(1, 80), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_an_epoch_holds_every_row_once(lengths: list[int], per_step: int, limit: int, seed: int, epoch: int) -> None:
    steps = plan_epoch(lengths, per_step, limit, seed, epoch)
    assert sorted(row for packs in steps for pack in packs for row in pack) == list(range(len(lengths)))
    sizes = [sum(map(len, packs)) for packs in steps]
    assert all(size == per_step for size in sizes[:-1]) and 1 <= sizes[-1] <= per_step


@given(lengths=LENGTHS, per_step=st.integers(1, 12), limit=st.integers(1, 80), seed=st.integers(0, 9))
def test_only_a_single_row_goes_over_the_limit(lengths: list[int], per_step: int, limit: int, seed: int) -> None:
    for packs in plan_epoch(lengths, per_step, limit, seed, 0):
        for pack in packs:
            assert pack and (len(pack) == 1 or sum(lengths[row] for row in pack) <= limit)


@given(lengths=LENGTHS, seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_the_order_is_a_function_of_seed_and_epoch(lengths: list[int], seed: int, epoch: int) -> None:
    assert plan_epoch(lengths, 4, 64, seed, epoch) == plan_epoch(list(lengths), 4, 64, seed, epoch)


def test_epochs_and_seeds_differ() -> None:
    lengths = [7] * 40
    orders = [str(plan_epoch(lengths, 4, 64, seed, epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == len(orders)


@given(lengths=LENGTHS, limit=st.integers(1, 80))
def test_packs_keep_the_given_order_and_are_filled(lengths: list[int], limit: int) -> None:
    order = list(reversed(range(len(lengths))))
    packs = pack_in_order(lengths, order, limit)
    assert [row for pack in packs for row in pack] == order
    for pack, after in zip(packs, packs[1:], strict=False):
        assert sum(lengths[row] for row in pack) + lengths[after[0]] > limit  # the next row did not fit any more


def test_a_row_longer_than_the_limit_stands_alone() -> None:
    assert pack_in_order([3, 50, 3, 3], [0, 1, 2, 3], 10) == [[0], [1], [2, 3]]
    assert pack_in_order([], [], 10) == []
