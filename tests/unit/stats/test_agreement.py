"""Agreement: published values, statsmodels, the HateCheck annotations, and intervals that cover what they promise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from provetune.stats.agreement import class_agreement, cohen_kappa, fleiss_kappa, krippendorff_alpha, tabulate
from provetune.stats.units import FloatArray, IntArray, Resampling

DRAWS = Resampling(seed=0)
QUICK = Resampling(seed=0, resamples=200)

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): annotators in rows, items in columns.
FOUR_BY_TWELVE = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
THREE_BY_FIFTEEN = """
. . . . . 3 4 1 2 1 1 3 3 . 3
1 . 2 1 3 3 4 3 . . . . . . .
. . 2 1 3 4 4 . 2 1 1 3 3 . 4
"""
# Fleiss (1971): 10 subjects, 14 raters, 5 categories.
FLEISS = """
0 0 0 0 14
0 2 6 4 2
0 0 3 5 6
0 3 9 2 0
2 2 8 1 1
7 7 0 0 0
3 2 6 3 0
2 5 3 2 2
6 5 2 1 0
0 2 2 3 7
"""


def ratings_of(text: str) -> FloatArray:
    return np.array([[np.nan if word == "." else float(word) for word in line.split()] for line in text.split("\n") if line]).T


def counts_of(text: str) -> IntArray:
    return np.array([[int(word) for word in line.split()] for line in text.split("\n") if line])


def of_table(table: list[list[int]]) -> tuple[IntArray, IntArray]:
    """Class numbers of two annotators from their contingency table."""
    rows, columns = np.indices((len(table), len(table)))
    repeats = np.array(table).ravel()
    return np.repeat(rows.ravel(), repeats), np.repeat(columns.ravel(), repeats)


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        (FOUR_BY_TWELVE, "nominal", 0.743421),
        (FOUR_BY_TWELVE, "ordinal", 0.815388),
        (FOUR_BY_TWELVE, "interval", 0.849107),
        (FOUR_BY_TWELVE, "ratio", 0.797403),
        (THREE_BY_FIFTEEN, "nominal", 0.691358),
        (THREE_BY_FIFTEEN, "interval", 0.810845),
    ],
)
def test_alpha_of_krippendorffs_tables(text: str, scale: str, value: float) -> None:
    counts, values = tabulate(ratings_of(text))
    found = krippendorff_alpha(counts, scale, QUICK, values)  # type: ignore[arg-type]
    assert found.value == pytest.approx(value, abs=5e-7)
    assert found.n == (counts.sum(axis=1) >= 2).sum() and found.low is not None and found.high is not None
    assert found.low < value < found.high


def test_fleiss_of_his_own_table() -> None:
    assert fleiss_kappa(counts_of(FLEISS), QUICK).value == pytest.approx(0.209931, abs=5e-7)


def test_cohen_of_the_usual_table_and_its_standard_error() -> None:
    found = cohen_kappa(*of_table([[20, 5], [10, 15]]), DRAWS)
    assert found.value == pytest.approx(0.4, abs=1e-12) and found.low is not None and found.high is not None
    # statsmodels: standard error .126996; the lower end is wider by the item that was never seen
    assert found.high - 0.4 == pytest.approx(1.96 * 0.126996, rel=0.12)
    assert 0.4 - found.low == pytest.approx(1.96 * 0.126996, rel=0.2)


def test_hatecheck_annotations(public_data: Path) -> None:
    with (public_data / "hatecheck" / "all_annotations.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (public_data / "hatecheck" / "test_suite_cases.csv").open(encoding="utf-8") as file:
        kept = {row["case_id"] for row in csv.DictReader(file)}
    counts = np.array([[sum(row[f"label_{k}"] == label for k in range(1, 11)) for label in ("hateful", "non-hateful")] for row in rows])
    suite = counts[[row["case_id"] in kept for row in rows]]
    assert (len(counts), len(suite)) == (3_901, 3_728) and (counts.sum(axis=1) == 5).all()
    for table, kappa, alpha in ((counts, 0.928512, 0.928516), (suite, 0.939016, 0.939019)):
        assert fleiss_kappa(table, QUICK).value == pytest.approx(kappa, abs=5e-7)
        found = krippendorff_alpha(table, "nominal", QUICK)
        assert found.value == pytest.approx(alpha, abs=5e-7) and found.low is not None and found.low > 0.9


@pytest.mark.filterwarnings("ignore:invalid value")  # statsmodels divides by zero where chance explains everything
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(2, 5))
def test_statsmodels_agrees(seed: int, classes: int, raters: int) -> None:
    draw = np.random.default_rng(seed)
    ratings = draw.integers(0, classes, size=(draw.integers(3, 30), raters))
    once = Resampling(seed=0, resamples=1)
    table = np.stack([(ratings == label).sum(axis=1) for label in range(classes)], axis=1)
    ours, theirs = fleiss_kappa(table, once).value, float(inter_rater.fleiss_kappa(table))
    assert (ours is None and not np.isfinite(theirs)) or ours == pytest.approx(theirs, abs=1e-12)
    both = np.zeros((classes, classes), dtype=int)
    np.add.at(both, (ratings[:, 0], ratings[:, 1]), 1)
    ours, theirs = cohen_kappa(ratings[:, 0], ratings[:, 1], once).value, float(inter_rater.cohens_kappa(both, return_results=False))
    assert (ours is None and not np.isfinite(theirs)) or ours == pytest.approx(theirs, abs=1e-12)


def alpha_by_pairs(ratings: FloatArray) -> float:
    """Interval alpha from its definition: every ordered pair of ratings, one by one."""
    items = [row[~np.isnan(row)] for row in ratings]
    items = [row for row in items if len(row) >= 2]
    everything = np.concatenate(items)
    observed = sum((a - b) ** 2 / (len(row) - 1) for row in items for a in row for b in row) / len(everything)
    expected = sum((a - b) ** 2 for a in everything for b in everything) / (len(everything) * (len(everything) - 1))
    return float(1 - observed / expected)


def test_alpha_equals_its_definition_and_ordinal_equals_interval_on_mid_ranks() -> None:
    draw = np.random.default_rng(3)
    ratings = np.clip(draw.integers(1, 7, size=(40, 1)) + draw.integers(-1, 2, size=(40, 4)), 1, 7).astype(float)
    ratings[draw.random(ratings.shape) < 0.3] = np.nan
    counts, values = tabulate(ratings)
    assert krippendorff_alpha(counts, "interval", QUICK, values).value == pytest.approx(alpha_by_pairs(ratings), abs=1e-12)
    totals = counts[counts.sum(axis=1) >= 2].sum(axis=0)
    ranks = np.cumsum(totals) - totals / 2
    ordinal, ranked = krippendorff_alpha(counts, "ordinal", QUICK), krippendorff_alpha(counts, "interval", QUICK, ranks)
    assert ordinal.value == pytest.approx(ranked.value, abs=1e-12)
    # the order alone counts: any growing values give the same
    assert krippendorff_alpha(counts, "ordinal", QUICK, values**3) == ordinal


def test_nothing_to_measure_is_none_and_never_zero() -> None:
    empty = np.zeros((0, 2), dtype=np.int64)
    single = np.array([[1, 0], [0, 1]])
    alike = np.array([[2, 0]] * 30)
    for counts, n in ((empty, 0), (single, 0), (alike, 30)):
        found = krippendorff_alpha(counts, "nominal", QUICK)
        assert (found.value, found.low, found.n) == (None, None, n)
    assert fleiss_kappa(alike, QUICK).value is None and fleiss_kappa(empty, QUICK).value is None
    assert cohen_kappa(np.zeros(9, dtype=np.int64), np.zeros(9, dtype=np.int64), QUICK).value is None
    never_chosen = class_agreement(np.array([[2, 0], [2, 0]]), QUICK)[1]
    assert never_chosen.agreement.value is None and never_chosen.prevalence.value == 0.0


def test_perfect_agreement_still_has_an_interval() -> None:
    table = np.array([[2, 0], [0, 2]] * 10)
    for found in (krippendorff_alpha(table, "nominal", DRAWS), fleiss_kappa(table, DRAWS)):
        assert found.value == found.high == 1.0 and found.low is not None and 0.5 < found.low < 0.9
    agreed = class_agreement(table, DRAWS)[0].agreement
    assert agreed.value == agreed.high == 1.0 and agreed.low is not None and 0.5 < agreed.low < 0.95


def test_the_kappa_paradox_is_visible_in_the_classes() -> None:
    """90 agreed yes, 10 disagreed: 95 % specific agreement on yes, none on no, and a kappa below zero."""
    table = np.array([[2, 0]] * 90 + [[1, 1]] * 10)
    assert fleiss_kappa(table, QUICK).value == pytest.approx(-0.052632, abs=1e-6)
    yes, no = class_agreement(table, QUICK)
    assert yes.agreement.value == pytest.approx(180 / 190) and no.agreement.value == 0.0
    assert yes.prevalence.value == pytest.approx(0.95) and no.prevalence.value == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fleiss_kappa(np.array([[2, 0], [2, 1]]), QUICK), "between 2 and 3 ratings"),
        (lambda: fleiss_kappa(np.array([[1, 0]]), QUICK), "2 or more"),
        (lambda: cohen_kappa(np.array([0, 1]), np.array([0]), QUICK), "wanted one class number"),
        (lambda: krippendorff_alpha(np.array([[2, 0]]), "interval", QUICK), "one finite number"),
        (lambda: krippendorff_alpha(np.array([[2, 0]]), "ratio", QUICK, np.array([-1.0, 2.0])), "0 or more"),
        (lambda: krippendorff_alpha(np.array([[-2, 0]]), "nominal", QUICK), "0 or more"),
    ],
)
def test_ratings_that_cannot_be_meant(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


def drawn_counts(draw: np.random.Generator, items: int, shares: list[float], right: float, missing: float) -> IntArray:
    """Two or more annotators who see the true class with probability `right` and guess by the shares otherwise."""
    raters = 3 if missing else 2
    truth = draw.choice(len(shares), size=(items, 1), p=shares)
    ratings = np.where(draw.random((items, raters)) < right, truth, draw.choice(len(shares), size=(items, raters), p=shares))
    kept = draw.random((items, raters)) >= missing
    return np.stack([((ratings == label) & kept).sum(axis=1) for label in range(len(shares))], axis=1)


@pytest.mark.parametrize(
    ("items", "shares", "right", "missing"),
    [
        (30, [0.5, 0.5], 0.8, 0.0),
        (50, [0.9, 0.1], 0.9, 0.0),
        (100, [0.9, 0.1], 0.95, 0.0),  # plain percentiles cover 84 % here,
        (200, [0.97, 0.03], 0.95, 0.0),  # and 65 % here
        (100, [0.25] * 4, 0.9, 0.2),
    ],
)
def test_intervals_cover_what_they_promise(items: int, shares: list[float], right: float, missing: float) -> None:
    draw = np.random.default_rng(11)
    once, rounds = Resampling(seed=0, resamples=1), 200
    truth = krippendorff_alpha(drawn_counts(draw, 100_000, shares, right, missing), "nominal", once).value
    assert truth is not None
    covered = measured = 0
    for seed in range(rounds):
        found = krippendorff_alpha(drawn_counts(draw, items, shares, right, missing), "nominal", Resampling(seed=seed, resamples=400))
        if found.low is None or found.high is None:
            continue  # everybody chose one class: nothing is claimed
        measured += 1
        covered += found.low <= truth <= found.high
    # 200 rounds at a true 95 % give 91 % or more in 99 of 100 runs
    assert measured >= 0.95 * rounds and covered / measured >= 0.91
