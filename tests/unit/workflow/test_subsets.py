"""Growing subsets are nested and stratified; planted wrong targets are as many as asked, and stay the same."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provetune.records.data import Example, Message
from provetune.workflow.subsets import nested_order, with_wrong_targets


def rows_of(counts: dict[str, int]) -> list[Example]:
    labels = [label for label, count in counts.items() for _ in range(count)]
    return [
        Example(id=f"r{k}", messages=(Message(role="user", content=f"row {k}"), Message(role="assistant", content=label)), label=label)
        for k, label in enumerate(labels)
    ]


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=1), st.integers(0, 5))
def test_every_beginning_has_each_label_in_its_share(counts: dict[str, int], seed: int) -> None:
    ordered = nested_order(rows_of(counts), seed)
    assert sorted(e.id for e in ordered) == sorted(e.id for e in rows_of(counts))
    total = len(ordered)
    for size in range(1, total + 1):
        held = Counter(e.label for e in ordered[:size])
        # one row for the rounding of the label, and what the others' rounding moves the end of the subset
        assert all(abs(held[label] - count * size / total) < 1 + len(counts) * count / total for label, count in counts.items())


def test_the_order_is_the_seed_s_and_not_the_file_s() -> None:
    rows = rows_of({"a": 30, "b": 10})
    shuffled = random.Random(3).sample(rows, len(rows))
    assert nested_order(rows, 1) == nested_order(shuffled, 1) != nested_order(rows, 2)


def test_rows_without_labels_are_shuffled() -> None:
    rows = [e.model_copy(update={"label": None}) for e in rows_of({"a": 50})]
    assert nested_order(rows, 0) != rows and sorted(e.id for e in nested_order(rows, 0)) == sorted(e.id for e in rows)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_wrong_targets_are_as_many_as_asked_and_carry_another_row_s(share: float) -> None:
    rows = rows_of({"a": 1500, "b": 1000, "c": 500})
    noisy = with_wrong_targets(rows, share, 0)
    wrong = [(before, after) for before, after in zip(rows, noisy, strict=True) if before != after]
    assert abs(len(wrong) / len(rows) - share) < 4 * (share * (1 - share) / len(rows)) ** 0.5
    assert all(after.target != before.target and after.label == after.target in "abc" for before, after in wrong)
    assert all((before.id, before.prompt_messages) == (after.id, after.prompt_messages) for before, after in wrong)


def test_a_larger_share_is_more_of_the_same_wrong_targets() -> None:
    rows = rows_of({"a": 300, "b": 300})
    few, many = with_wrong_targets(rows, 0.1, 0), with_wrong_targets(rows, 0.2, 0)
    assert with_wrong_targets(rows, 0.0, 0) == rows
    for row, less, more in zip(rows, few, many, strict=True):
        assert less == row or more == less


def test_one_target_alone_cannot_be_wrong() -> None:
    with pytest.raises(ValueError, match="at least two targets"):
        with_wrong_targets(rows_of({"a": 5}), 0.1, 0)
