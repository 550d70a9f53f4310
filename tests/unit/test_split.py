"""The split: disjoint, complete, grouped, stratified, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provetune.errors import DataError
from provetune.records.data import Example, Message
from provetune.spec import SplitSpec
from provetune.split import SplitParts, part_sizes, split


def example(number: int, label: str | None = "a", group: str | None = None) -> Example:
    messages = (Message(role="user", content=f"question {number}"), Message(role="assistant", content=label or "text"))
    return Example(id=f"r{number}", messages=messages, label=label, group=group, source=f"rows.csv:{number}")


def ids(examples: list[Example]) -> list[str]:
    return [row.id for row in examples]


def part_of(parts: SplitParts) -> dict[str, str]:
    return {row.id: name for name in ("train", "validation", "test") for row in getattr(parts, name)}


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[list[Example], list[int], SplitSpec]:
    """40-150 rows of 1-6 labels; some rows in near-duplicate groups of up to 4, some in the user's own groups."""
    count = draw(st.integers(40, 150))
    seed = random.Random(draw(st.integers(0, 2**32)))
    labels = [f"label {number}" for number in range(draw(st.integers(1, 6)))]
    own = [None, None, None, *(f"customer {number}" for number in range(count // 4))]
    examples = [example(number, seed.choice(labels), seed.choice(own)) for number in range(count)]
    groups = [seed.randrange(count) if seed.random() < 0.3 else count + number for number in range(count)]
    shares = draw(st.sampled_from([("auto", "auto"), (0.3, "auto"), ("auto", 0.1), (0.25, 0.15)]))
    return examples, groups, SplitSpec(test=shares[0], validation=shares[1], seed=draw(st.integers(0, 99)))


@settings(max_examples=80, deadline=None)
@given(data_sets(), st.booleans(), st.integers(0, 6))
def test_disjoint_complete_and_whole_groups(data: tuple[list[Example], list[int], SplitSpec], given_test: bool, leaks: int) -> None:
    examples, groups, spec = data
    test_rows = [example(1000 + number) for number in range(30)] if given_test else None
    leaked = {row.id: f"equals test row {row.id}" for row in examples[:leaks]}
    parts = split(examples, spec, groups=groups, test_examples=test_rows, leaked=leaked)
    cut = parts.train + parts.validation + ([] if given_test else parts.test)
    assert sorted([*ids(cut), *parts.left_out]) == sorted(ids(examples))
    assert parts.left_out == leaked
    if given_test:
        assert parts.test == test_rows
    place = part_of(parts)
    used = [(row, group) for row, group in zip(examples, groups, strict=True) if row.id not in leaked]
    for one, one_group in used:
        for other, other_group in used:
            if one_group == other_group or (one.group is not None and one.group == other.group):
                assert place[one.id] == place[other.id]


@settings(max_examples=40, deadline=None)
@given(data_sets())
def test_every_label_is_trained_on(data: tuple[list[Example], list[int], SplitSpec]) -> None:
    examples, groups, spec = data
    parts = split(examples, spec, groups=groups, leaked={})
    assert {row.label for row in parts.train} == {row.label for row in examples}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(6, 60), min_size=2, max_size=20), st.integers(0, 99))
def test_labels_keep_their_shares_within_two_rows(sizes: list[int], seed: int) -> None:
    labels = [f"label {number}" for number, size in enumerate(sizes) for _ in range(size)]
    examples = [example(number, label) for number, label in enumerate(labels)]
    spec = SplitSpec(test=0.25, validation=0.15, seed=seed)
    parts = split(examples, spec, groups=range(len(examples)), leaked={})
    wanted = part_sizes(len(examples), spec, test_given=False)
    for rows, target in zip((parts.train, parts.validation, parts.test), wanted, strict=True):
        assert abs(len(rows) - target) <= 2
        counts = Counter(row.label for row in rows)
        for label, total in Counter(labels).items():
            assert abs(counts[label] - total * target / len(labels)) <= 2


def test_the_seed_decides_and_nothing_else() -> None:
    examples = [example(number, "ab"[number % 2]) for number in range(200)]

    def cut(rows: list[Example], seed: int) -> dict[str, str]:
        return part_of(split(rows, SplitSpec(seed=seed), groups=range(len(rows)), leaked={}))

    assert cut(examples, 7) == cut(examples, 7)
    assert cut(examples, 7) == cut(examples[::-1], 7)
    seven, eight = cut(examples, 7), cut(examples, 8)
    assert sum(seven[row.id] != eight[row.id] for row in examples) > 50


def test_parts_keep_the_order_of_the_file() -> None:
    examples = [example(number) for number in range(100)]
    parts = split(examples, SplitSpec(), groups=range(100), leaked={})
    for rows in (parts.train, parts.validation, parts.test):
        numbers = [int(row.id[1:]) for row in rows]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("count", "test_given", "sizes"),
    [
        (100_000, False, (79_000, 1_000, 20_000)),
        (10_003, False, (7_003, 1_000, 2_000)),
        (2_000, False, (1_174, 200, 626)),
        (1_000, False, (400, 100, 500)),
        (100, False, (30, 20, 50)),
        (20, False, (6, 4, 10)),
        (7_473, True, (6_726, 747, 0)),
        (60, True, (40, 20, 0)),
    ],
)
def test_automatic_sizes(count: int, test_given: bool, sizes: tuple[int, int, int]) -> None:
    assert part_sizes(count, SplitSpec(), test_given=test_given) == sizes


def test_given_shares_are_kept() -> None:
    assert part_sizes(1_000, SplitSpec(test=0.3, validation=0.2), test_given=False) == (500, 200, 300)
    assert part_sizes(1_000, SplitSpec(test=0.3, validation=0.2), test_given=True) == (800, 200, 0)


def test_a_label_seen_once_is_trained_on_and_one_seen_thrice_too() -> None:
    labels = ["common"] * 60 + ["once"] + ["thrice"] * 3
    examples = [example(number, label) for number, label in enumerate(labels)]
    for seed in range(20):
        trained = Counter(row.label for row in split(examples, SplitSpec(seed=seed), groups=range(64), leaked={}).train)
        assert trained["once"] == 1
        assert trained["thrice"] >= 1


def test_groups_are_joined_through_both_kinds() -> None:
    # 0-1 near-duplicates, 1-2 one customer, 2-3 near-duplicates: all four are one
    examples = [example(0), example(1, group="x"), example(2, group="x"), *(example(number) for number in range(3, 60))]
    groups = [0, 0, 1, 1, *range(2, 58)]
    for seed in range(10):
        place = part_of(split(examples, SplitSpec(seed=seed), groups=groups, leaked={}))
        assert len({place[f"r{number}"] for number in range(4)}) == 1


def test_three_large_groups_give_one_to_each_part() -> None:
    examples = [example(number, group=f"customer {number // 20}") for number in range(60)]
    parts = split(examples, SplitSpec(), groups=range(60), leaked={})
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [20, 20, 20]


def test_a_group_larger_than_half_is_trained_on() -> None:
    examples = [example(number) for number in range(100)]
    parts = split(examples, SplitSpec(test=0.2, validation=0.1), groups=[0] * 60 + list(range(1, 41)), leaked={})
    assert {f"r{number}" for number in range(60)} <= set(ids(parts.train))
    assert (len(parts.validation), len(parts.test)) == (10, 20)


def test_without_stratification_only_sizes_are_kept() -> None:
    examples = [example(number, "ab"[number % 2]) for number in range(200)]
    parts = split(examples, SplitSpec(stratify="none"), groups=range(200), leaked={})
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (80, 20, 100)


def test_free_text_needs_no_labels() -> None:
    parts = split([example(number, None) for number in range(100)], SplitSpec(), groups=range(100), leaked={})
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (30, 20, 50)


def test_too_few_groups_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="2 groups.*too few to keep some for"):
        split([example(number) for number in range(40)], SplitSpec(), groups=[0] * 20 + [1] * 20, leaked={})
    with pytest.raises(DataError, match="5 rows in 5 groups"):
        split([example(number, f"own {number}") for number in range(5)], SplitSpec(), groups=range(5), leaked={})
    with pytest.raises(DataError, match="found 0 rows"):
        split([], SplitSpec(), groups=[], leaked={})


def test_a_repeated_id_is_refused_with_its_places() -> None:
    with pytest.raises(DataError, match=r"'r1' 2 times \(rows.csv:1, rows.csv:1\)"):
        split([example(1), example(1), example(2)], SplitSpec(), groups=range(3), leaked={})


def test_groups_must_match_the_rows() -> None:
    with pytest.raises(ValueError, match="2 group numbers for 3 examples"):
        split([example(number) for number in range(3)], SplitSpec(), groups=[0, 1], leaked={})
