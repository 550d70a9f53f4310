"""The number of threads is chosen by what is fastest here and now."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from provetune.engine.machine import fastest_threads


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("fast", [1, 2, 4])
def test_the_fastest_number_is_taken_and_nothing_is_changed(fast: int) -> None:
    assert fastest_threads(lambda: time.sleep(0.002 if torch.get_num_threads() == fast else 0.02)) == fast
    assert torch.get_num_threads() == 4


def test_fewer_threads_must_be_clearly_faster() -> None:
    assert fastest_threads(lambda: time.sleep(0.05)) == 4


def test_a_failure_leaves_the_number_as_it_was() -> None:
    def fail() -> None:
        if torch.get_num_threads() == 2:
            raise MemoryError

    with pytest.raises(MemoryError):
        fastest_threads(fail)
    assert torch.get_num_threads() == 4
