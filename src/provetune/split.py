"""Step split: which example is for training, for choosing (validation) and for proving (test).

Rows that belong together (near-duplicates, or one value of the user's group column) never straddle two parts, and
labels keep their shares. The same rows, groups and seed give the same split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from provetune.errors import DataError, ProvetuneError
from provetune.hashing import seed_of
from provetune.records.data import Example
from provetune.similarity import groups as joined
from provetune.spec import SplitSpec
from provetune.stats.power import EXPECTED_DISCORDANCE, examples_for_gain

GAIN = 0.05
"""The automatic test part is as large as a gain of 5 points needs when the two candidates differ on 20 % of the rows."""
TEST_SHARE = (0.2, 0.5)
VALIDATION_SHARE, VALIDATION_ROWS = 0.1, (20, 1000)
# Validation never takes more than this part of what the test leaves: most of it is for training.
_VALIDATION_AT_MOST = 0.4

TRAIN, VALIDATION, TEST = 0, 1, 2
_NAMES = ("train", "validation", "test")
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class SplitParts:
    """The parts, each in the order of the file; `left_out` says why for each id that is in none of them."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Unit:
    """Rows that stay together: their positions and how many of each label."""

    rows: tuple[int, ...]
    labels: Counter[str]
    rank: int


def split(
    examples: Sequence[Example],
    spec: SplitSpec,
    *,
    groups: Sequence[int],
    test_examples: Sequence[Example] | None = None,
    leaked: Mapping[str, str],
) -> SplitParts:
    """Cut `examples` into train, validation and, without `test_examples`, test.

    `groups` is the near-duplicate group of each example; it is joined with `Example.group`. `leaked` maps the ids of
    rows that must not be used to the reason. Each label appears in train, a label of one group only there. With
    `test_examples` these are the test part, whole. A row stays with the row it was made from; rows that are made (synthetic) never
    choose or prove: outside train they are left out, unless there are no others. Raises DataError on a repeated id and where the rows
    or groups are too few for the parts.
    """
    if len(groups) != len(examples):
        raise ValueError(f"{len(groups)} group numbers for {len(examples)} examples, wanted one each")
    _refuse_repeated_ids(examples)
    sources = {example.source_id for example in examples if example.id in leaked}
    left_out = {e.id: leaked.get(e.id, "shares its source with a row that is left out") for e in examples if e.source_id in sources}
    kept = [row for row, example in enumerate(examples) if example.id not in left_out]
    wanted = part_sizes(len(kept), spec, test_given=test_examples is not None)
    units = _units(examples, groups, kept, spec.seed)
    part_of = _filled(units, _assign(units, wanted, by_label=spec.stratify == "target"), wanted)
    _refuse_straddling(examples, groups, part_of)
    if not all(examples[row].synthetic for row in kept):
        made = [examples[row].id for row in kept if examples[row].synthetic and part_of[row] != TRAIN]
        left_out |= dict.fromkeys(made, "is made from another row or by a model; such rows only train")
    parts = [
        [examples[row] for row in kept if part_of[row] == part and examples[row].id not in left_out] for part in (TRAIN, VALIDATION, TEST)
    ]
    for part, rows in enumerate(parts):
        if wanted[part] and not rows:
            raise DataError(_too_few(len(kept), _NAMES[part], len(units)))
    return SplitParts(parts[TRAIN], parts[VALIDATION], parts[TEST] if test_examples is None else list(test_examples), left_out)


def folds(examples: Sequence[Example], count: int, seed: int) -> dict[str, int]:
    """The fold, from 0, of each example id: rows of one `group` stay together, labels keep their shares.

    The same rows, groups and seed give the same folds. DataError on fewer groups than folds.
    """
    units: dict[str, list[Example]] = {}
    for example in examples:
        units.setdefault(example.group or example.id, []).append(example)
    if len(units) < count:
        raise DataError(
            f"found {len(examples)} rows in {len(units)} groups of rows that belong together, wanted at least {count} (prove.folds)"
        )
    ordered = sorted(units.values(), key=lambda rows: (-len(rows), seed_of("folds", seed, min(row.id for row in rows))))
    labels: list[Counter[str]] = [Counter() for _ in range(count)]
    sizes = [0] * count
    found: dict[str, int] = {}
    for rows in ordered:
        held = Counter(row.label or "" for row in rows)
        fold = min(range(count), key=lambda k: (sum(labels[k][label] * held[label] for label in held), sizes[k], k))
        labels[fold] += held
        sizes[fold] += len(rows)
        found |= {row.id: fold for row in rows}
    return found


def part_sizes(count: int, spec: SplitSpec, *, test_given: bool) -> tuple[int, int, int]:
    """Rows wanted for (train, validation, test) out of `count`.

    `test: auto` is what a gain of 5 points needs (626 rows), within 20 % and 50 % of the rows; `validation: auto` is
    10 %, from 20 to 1,000 rows, and at most 40 % of what the test leaves. Raises DataError if no row is left for a part.

    >>> part_sizes(2000, SplitSpec(), test_given=False)
    (1174, 200, 626)
    >>> part_sizes(100, SplitSpec(), test_given=False)
    (30, 20, 50)
    """
    test = 0 if test_given else _test_size(count, spec)
    rest = count - test
    if spec.validation == "auto":
        least, most = VALIDATION_ROWS
        validation = min(max(round(VALIDATION_SHARE * count), least), most, int(_VALIDATION_AT_MOST * rest))
    else:
        validation = max(1, round(spec.validation * count))
    sizes = (rest - validation, validation, test)
    for part, rows in enumerate(sizes):
        if rows < 1 and not (part == TEST and test_given):
            raise DataError(_too_few(count, _NAMES[part]))
    return sizes


def _test_size(count: int, spec: SplitSpec) -> int:
    if spec.test != "auto":
        return max(1, round(spec.test * count))
    low, high = (int(share * count) for share in TEST_SHARE)
    return min(max(examples_for_gain(GAIN, EXPECTED_DISCORDANCE), low), high)


def _too_few(rows: int, part: str, units: int | None = None) -> str:
    grouped = "" if units is None else f" in {units} groups of rows that belong together"
    return (
        f"found {rows} rows{grouped}, too few to keep some for {part}, since each label needs some in train first; "
        "wanted about 10 rows of each label. Add rows, name a test file (data.test), or change data.split"
    )


def _refuse_repeated_ids(examples: Sequence[Example]) -> None:
    repeated = [(example_id, count) for example_id, count in Counter(example.id for example in examples).most_common(1) if count > 1]
    if repeated:
        example_id, count = repeated[0]
        where = ", ".join(example.source for example in examples if example.id == example_id)
        raise DataError(f"found id {example_id!r} {count} times ({where}), wanted each id once; mend the id column")


def _units(examples: Sequence[Example], groups: Sequence[int], kept: Sequence[int], seed: int) -> list[_Unit]:
    """Rows joined by near-duplicate group, by the user's group or by the row they were made from, however indirectly.

    They come in an order that only the seed decides.
    """
    first: dict[tuple[str, str], int] = {}
    links = []
    for place, row in enumerate(kept):
        keys = [("near", str(groups[row])), ("source", examples[row].source_id)]
        if (own := examples[row].group) is not None:
            keys.append(("own", own))
        links += [(first.setdefault(key, place), place, 1.0) for key in keys]
    members: dict[int, list[int]] = {}
    for row, number in zip(kept, joined(len(kept), links), strict=True):
        members.setdefault(number, []).append(row)
    # ranked by id, so that a row added elsewhere in the file does not reshuffle the rest
    return [
        _Unit(
            tuple(rows), Counter(examples[row].label or "" for row in rows), seed_of("split", seed, min(examples[row].id for row in rows))
        )
        for rows in members.values()
    ]


def _assign(units: list[_Unit], wanted: tuple[int, int, int], *, by_label: bool) -> dict[tuple[int, ...], int]:
    """Rows of a unit -> part. Large units first, each to the part that is furthest behind its share of all rows and of the unit's labels.

    Shares are compared over the units seen so far, as in systematic sampling, so every prefix is balanced and rounding
    does not pile up over many small labels.
    """
    labels = {label: place for place, label in enumerate(sorted({label for unit in units for label in unit.labels}))}
    shares = np.array(wanted, dtype=float) / sum(wanted)
    seen: Counts = np.zeros(len(labels) + 1)
    given: Counts = np.zeros((3, len(labels) + 1))
    part_of: dict[tuple[int, ...], int] = {}
    anchors = _anchors(units)
    order = sorted(units, key=lambda unit: (unit.rows not in anchors, -len(unit.rows), unit.rank, unit.rows))
    for unit in order:
        held = unit.labels if by_label else {}
        places = [labels[label] for label in held] + [len(labels)]
        counts = np.array([*held.values(), len(unit.rows)], dtype=float)
        seen[places] += counts
        behind = np.outer(shares, seen[places]) - given[:, places]
        scores = np.where(shares > 0, behind @ counts, -np.inf)
        part = TRAIN if unit.rows in anchors else int(np.argmax(scores))
        given[part, places] += counts
        part_of[unit.rows] = part
    return part_of


def _anchors(units: list[_Unit]) -> set[tuple[int, ...]]:
    """Units that go to train so that each label is seen there: for a label without one, its smallest unit."""
    anchors: set[tuple[int, ...]] = set()
    covered: set[str] = set()
    holders: dict[str, list[_Unit]] = {}
    for unit in units:
        for label in unit.labels:
            holders.setdefault(label, []).append(unit)
    for label in sorted(holders, key=lambda name: (len(holders[name]), name)):
        if label not in covered:
            unit = min(holders[label], key=lambda unit: (len(unit.rows), unit.rank, unit.rows))
            anchors.add(unit.rows)
            covered.update(unit.labels)
    return anchors


def _filled(units: list[_Unit], part_of: dict[tuple[int, ...], int], wanted: tuple[int, int, int]) -> dict[int, int]:
    """Row -> part, after giving a part that got nothing the smallest unit that can be spared."""
    anchors = _anchors(units)
    for part in (TEST, VALIDATION):
        if wanted[part] and part not in part_of.values():
            held = Counter(part_of.values())
            spare = [unit for unit in units if unit.rows not in anchors and held[part_of[unit.rows]] > 1]
            if spare:
                part_of = {**part_of, min(spare, key=lambda unit: (len(unit.rows), unit.rank, unit.rows)).rows: part}
    return {row: part for rows, part in part_of.items() for row in rows}


def _refuse_straddling(examples: Sequence[Example], groups: Sequence[int], part_of: Mapping[int, int]) -> None:
    """Check the promise again, on the groups as given rather than as joined."""
    places: dict[tuple[str, str], set[int]] = {}
    for row, part in part_of.items():
        places.setdefault(("near-duplicate group", str(groups[row])), set()).add(part)
        places.setdefault(("source", examples[row].source_id), set()).add(part)
        if (own := examples[row].group) is not None:
            places.setdefault(("group", own), set()).add(part)
    for (kind, name), parts in places.items():
        if len(parts) > 1:
            raise ProvetuneError(f"{kind} {name!r} stands in {len(parts)} parts of the split, wanted one; please report this as a bug")
