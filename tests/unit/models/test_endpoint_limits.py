"""The cap on spending, by hand."""

from __future__ import annotations

import asyncio

from provetune.models.endpoint_limits import Spending


def test_a_reserve_waits_for_room_and_ends_where_none_will_come() -> None:
    async def story() -> None:
        spending = Spending(1.0, 0.1)
        first, second = await spending.reserve(0.5), await spending.reserve(0.4)
        assert (first, second) == (0.5, 0.4)  # 0.1 + 0.5 + 0.4: the cap itself may be reached
        waiting = asyncio.create_task(spending.reserve(0.3))
        await asyncio.sleep(0)
        assert not waiting.done()
        await spending.settle(0.5, 0.2, 0.5)
        assert await waiting == 0.3 and spending.spent_usd == 0.1 + 0.2
        await spending.settle(0.4, 0.4, 0.4)
        await spending.settle(0.3, 0.3, 0.3)
        assert await spending.reserve(0.01) is None

    asyncio.run(story())


def test_requests_that_cost_more_than_foreseen_raise_later_reserves_once() -> None:
    async def story() -> None:
        spending = Spending(100.0, 0.0)
        for _ in range(3):
            await spending.reserve(1.0)
        for _ in range(3):
            await spending.settle(1.0, 3.0, 1.0)
        assert await spending.reserve(2.0) == 6.0

    asyncio.run(story())


def test_without_a_cap_nothing_waits() -> None:
    assert asyncio.run(Spending(None, 7.0).reserve(1e9)) == 1e9
