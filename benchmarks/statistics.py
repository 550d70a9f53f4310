"""How often the intervals hold what they promise, how often the tests find nothing where nothing is, and how long they take.

`python -m benchmarks.statistics` prints the tables of docs/statistics.md; `--rounds N` simulates longer or shorter.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom

from provetune.metrics import METRICS
from provetune.stats.binary import mcnemar_exact, mcnemar_mid_p, paired_shares
from provetune.stats.corpus import aggregate_interval, approximate_randomization_p, paired_aggregate_difference
from provetune.stats.estimate import Estimate
from provetune.stats.folds import fold_difference
from provetune.stats.measure import Measure
from provetune.stats.proportion import clopper_pearson, wilson
from provetune.stats.resampling import mean_interval, paired_mean_difference, sign_flip_p
from provetune.stats.seeds import seed_spread
from provetune.stats.units import Resampling

Draw = Callable[[np.random.Generator, int], Any]
SIGNED, UNIT = (-1.0, 1.0), (0.0, 1.0)
DRAWS = 1_000
LABELS = 4
F1 = Measure("corpus", METRICS["f1_macro"].aggregate)


@dataclass(frozen=True)
class Coverage:
    """One interval on one kind of data; shares of all rounds."""

    interval: str
    data: str
    n: str
    confidence: float
    covered: float
    below: float
    above: float

    @property
    def short(self) -> float:
        """Points that it lies under what it promises; negative where it covers more."""
        return 100 * (self.confidence - self.covered)


# -- data: (name, draw [n] values, their true mean)

VALUES: tuple[tuple[str, Draw, float], ...] = (
    ("normal, sd .3", lambda g, n: g.normal(0.1, 0.3, n).clip(-1, 1), 0.09955),
    ("skewed (beta .6, 2.5)", lambda g, n: g.beta(0.6, 2.5, n), 0.6 / 3.1),
    ("difference of two skewed", lambda g, n: g.beta(0.6, 2.5, n) - g.beta(0.6, 2.5, n), 0.0),
    ("80 % ties", lambda g, n: np.where(g.random(n) < 0.8, 0.0, g.normal(0.1, 0.3, n).clip(-1, 1)), 0.2 * 0.09955),
    ("90 % ties", lambda g, n: np.where(g.random(n) < 0.9, 0.0, g.normal(0.1, 0.3, n).clip(-1, 1)), 0.1 * 0.09955),
    ("90 % ties, rest above 0", lambda g, n: np.where(g.random(n) < 0.9, 0.0, g.beta(1, 2, n)), 0.1 / 3),
    ("1 in 10 loses all, others gain", lambda g, n: np.where(g.random(n) < 0.1, -1.0, 1 / 9), 0.0),
)


def grouped(generator: np.random.Generator, groups: int, sizes: str, kind: str) -> tuple[Any, Any, float]:
    """Rows, their group numbers and the true mean; rows of a group are alike."""
    counts = np.full(groups, 5) if sizes == "groups of 5" else generator.geometric(0.25, groups)
    numbers = np.repeat(np.arange(groups), counts)
    if kind == "right/wrong":
        share = generator.beta(1.6, 0.4, groups)
        return (generator.random(len(numbers)) < share[numbers]).astype(float), numbers, 0.8
    level = np.where(generator.random(groups) < 0.6, 0.0, generator.normal(0.1, 0.3, groups))
    return (level[numbers] + generator.normal(0, 0.1, len(numbers))).clip(-1, 1), numbers, 0.04


def labelled(generator: np.random.Generator, n: int, shares: tuple[float, ...]) -> list[Any]:
    """(true, named) label pairs of candidates that are right this often, each with one rare label, correlated over rows."""
    truth = generator.choice(LABELS, n, p=(0.5, 0.3, 0.15, 0.05))
    hard = generator.random(n)
    columns = []
    for share in shares:
        right = np.where(generator.random(n) < 0.5, hard, generator.random(n)) < share
        columns.append(np.column_stack([truth, np.where(right, truth, generator.integers(0, LABELS, n))]).astype(float))
    return columns


# -- coverage


def counted(found: Iterator[tuple[Estimate, float]], names: tuple[str, str, str], confidence: float) -> Coverage:
    """How often the intervals held the truth beside them."""
    ends = np.array([[e.low, e.high, truth] for e, truth in found], dtype=float)
    below, above = float((ends[:, 1] < ends[:, 2] - 1e-12).mean()), float((ends[:, 0] > ends[:, 2] + 1e-12).mean())
    return Coverage(*names, confidence, 1 - below - above, below, above)


def mean_coverage(rounds: int, n: int, confidence: float) -> Iterator[Coverage]:
    """The bootstrap of a mean over independent rows."""
    for name, draw, truth in VALUES:
        generator = np.random.default_rng(n)
        rows = (
            (mean_interval(draw(generator, n), None, Resampling(seed, confidence, DRAWS), bounds=SIGNED), truth) for seed in range(rounds)
        )
        yield counted(rows, ("bootstrap mean", name, f"{n} rows"), confidence)


def cluster_coverage(rounds: int, groups: int, confidence: float) -> Iterator[Coverage]:
    """The bootstrap of a mean over groups."""
    for sizes in ("groups of 5", "unequal groups"):
        for kind in ("right/wrong", "differences with ties"):
            generator = np.random.default_rng(groups)

            def found(sizes: str = sizes, kind: str = kind, generator: np.random.Generator = generator) -> Iterator[tuple[Estimate, float]]:
                for seed in range(rounds):
                    values, numbers, truth = grouped(generator, groups, sizes, kind)
                    yield mean_interval(values, numbers, Resampling(seed, confidence, DRAWS), bounds=SIGNED), truth

            yield counted(found(), ("cluster bootstrap mean", f"{kind}, {sizes}", f"{groups} groups"), confidence)


def f1_coverage(rounds: int, n: int, confidence: float) -> Iterator[Coverage]:
    """The bootstrap of macro F1 and of a difference in it."""
    generator, shares = np.random.default_rng(n), (0.85, 0.7)
    one, other = (float(F1.aggregate(rows, np.ones((1, 200_000)))[0]) for rows in labelled(generator, 200_000, shares))
    difference = one - other
    pairs = [labelled(generator, n, shares) for _ in range(rounds)]
    draws = [Resampling(seed, confidence, DRAWS) for seed in range(rounds)]
    singly = ((aggregate_interval(F1, a, None, draw), one) for (a, _), draw in zip(pairs, draws, strict=True))
    yield counted(singly, ("bootstrap macro F1", "4 labels, one rare", f"{n} rows"), confidence)
    paired = ((paired_aggregate_difference(F1, a, b, None, draw), difference) for (a, b), draw in zip(pairs, draws, strict=True))
    yield counted(paired, ("paired bootstrap macro F1", "4 labels, one rare", f"{n} rows"), confidence)


def exact_coverage(n: int, confidence: float) -> Iterator[Coverage]:
    """Intervals of counts, every outcome counted: the truth where they cover least."""
    shares = np.linspace(0.005, 0.995, 199)
    for interval in (wilson, clopper_pearson):
        ends = np.array([(e.low, e.high) for e in (interval(k, n, confidence) for k in range(n + 1))], dtype=float)
        inside = (ends[:, :1] <= shares) & (shares <= ends[:, 1:])
        covered = (binom.pmf(np.arange(n + 1)[:, None], n, shares) * inside).sum(axis=0)
        name = {"wilson": "Wilson (display only)", "clopper_pearson": "Clopper-Pearson"}[interval.__name__]
        worst = int(covered.argmin())
        yield Coverage(name, f"worst share, {shares[worst]:.3f}", f"{n} rows", confidence, float(covered[worst]), np.nan, np.nan)
    outcomes = [(w, k) for w in range(n + 1) for k in range(n + 1 - w)]
    wins, losses = np.array(outcomes).T
    ends = np.array([(e.low, e.high) for e in (paired_shares(w, k, n, confidence) for w, k in outcomes)], dtype=float)
    least = (2.0, 0.0, 0.0)
    for discordance in np.arange(0.02, 0.61, 0.02):
        for tilt in np.linspace(0, 1, 11):
            p, q = discordance * (1 + tilt) / 2, discordance * (1 - tilt) / 2
            chance = binom.pmf(wins, n, p) * binom.pmf(losses, n - wins, q / (1 - p))
            covered = float(chance @ ((ends[:, 0] <= p - q) & (p - q <= ends[:, 1])))
            least = min(least, (covered, float(discordance), float(p - q)))
    data = f"worst truth: {least[1]:.0%} differ, {least[2]:+.0%}"
    yield Coverage("Bonett-Price, widened one-sided", data, f"{n} rows", confidence, least[0], np.nan, np.nan)


def recipe_coverage(rounds: int, confidence: float) -> Iterator[Coverage]:
    """Several seeds, and folds."""
    generator = np.random.default_rng(3)

    def seeds() -> Iterator[tuple[Estimate, float]]:
        for _ in range(rounds):
            rows = 0.1 + generator.normal(0, 0.05, (3, 1)) + generator.normal(0, 0.2, 100) + generator.normal(0, 0.1, (3, 100))
            yield seed_spread(rows.clip(-1, 1), None, confidence, bounds=SIGNED).recipe, 0.1

    yield counted(seeds(), ("three seeds, crossed", "seeds and rows vary", "100 rows"), confidence)

    def folds() -> Iterator[tuple[Estimate, float]]:
        parts = np.arange(100) % 5
        for _ in range(rounds):
            rows = 0.1 + generator.normal(0, 0.05, 5)[parts] + generator.normal(0, 0.3, 100)
            yield fold_difference(rows.clip(-1, 1), parts, None, confidence, bounds=SIGNED), 0.1

    yield counted(folds(), ("five folds", "trainings and rows vary", "100 rows"), confidence)


# -- tests


@dataclass(frozen=True)
class Size:
    """How often a test at 5 % finds a difference where there is none."""

    test: str
    data: str
    n: str
    found: float


def sign_flip_sizes(rounds: int, n: int) -> Iterator[Size]:
    """Exchangeable differences, in rows and in groups."""
    kinds: tuple[tuple[str, Draw, int], ...] = (
        ("skewed scores", lambda g, k: g.beta(0.6, 2.5, k) - g.beta(0.6, 2.5, k), 1),
        ("90 % ties", lambda g, k: np.where(g.random(k) < 0.9, 0.0, g.normal(0, 0.3, k)), 1),
        ("right/wrong, groups of 5", lambda g, k: np.repeat(g.choice([-1.0, 0.0, 0.0, 1.0], k), 5), 5),
    )
    for name, draw, size in kinds:
        generator = np.random.default_rng(n)
        groups = np.arange(n * size) // size
        found = [sign_flip_p(draw(generator, n), groups, Resampling(seed, resamples=DRAWS)) <= 0.05 for seed in range(rounds)]
        yield Size("sign flips", name, f"{n} {'rows' if size == 1 else 'groups'}", float(np.mean(found)))


def f1_sizes(rounds: int, n: int) -> Iterator[Size]:
    """Two candidates that are as often right."""
    generator, found = np.random.default_rng(n), []
    for seed in range(rounds):
        a, b = labelled(generator, n, (0.75, 0.75))
        found.append(approximate_randomization_p(F1, a, b, None, Resampling(seed, resamples=DRAWS)) <= 0.05)
    yield Size("approximate randomization", "macro F1, 4 labels", f"{n} rows", float(np.mean(found)))


def mcnemar_sizes(n: int) -> Iterator[Size]:
    """The largest over all discordances, every outcome counted."""
    for name, test in (("McNemar exact", mcnemar_exact), ("McNemar mid-p", mcnemar_mid_p)):
        rejected = [[test(w, pairs - w) <= 0.05 for w in range(pairs + 1)] for pairs in range(n + 1)]
        chance = np.array([binom.pmf(np.arange(pairs + 1), pairs, 0.5)[rejected[pairs]].sum() for pairs in range(n + 1)])
        sizes = [float(binom.pmf(np.arange(n + 1), n, d) @ chance) for d in np.arange(0.02, 1.0, 0.02)]
        yield Size(name, "worst discordance", f"{n} rows", max(sizes))


# -- time


def seconds() -> Iterator[tuple[str, float]]:
    """Of 1,000 rows with 10,000 draws."""
    generator, draw = np.random.default_rng(0), Resampling(0, resamples=10_000)
    differences = generator.beta(0.6, 2.5, 1000) - generator.beta(0.6, 2.5, 1000)
    groups = np.arange(1000) // 4
    truth = generator.integers(0, 77, 1000)
    a, b = (np.column_stack([truth, np.where(generator.random(1000) < p, truth, 0)]).astype(float) for p in (0.8, 0.7))
    calls: tuple[tuple[str, Callable[[], object]], ...] = (
        ("bootstrap of a mean difference", lambda: paired_mean_difference(differences, None, draw, bounds=SIGNED)),
        ("the same over 250 groups", lambda: paired_mean_difference(differences, groups, draw, bounds=SIGNED)),
        ("sign flips", lambda: sign_flip_p(differences, None, draw)),
        ("paired bootstrap of macro F1, 77 labels", lambda: paired_aggregate_difference(F1, a, b, None, draw)),
        ("approximate randomization of macro F1, 77 labels", lambda: approximate_randomization_p(F1, a, b, None, draw)),
    )
    for name, call in calls:
        started = time.perf_counter()
        call()
        yield name, time.perf_counter() - started


def coverages(rounds: int) -> Iterator[Coverage]:
    """All rows of the first table."""
    for n in (30, 100):
        for confidence in (0.95, 0.90):
            yield from exact_coverage(n, confidence)
    for confidence in (0.95, 0.90):
        for n in (30, 100):
            yield from mean_coverage(rounds, n, confidence)
        for groups in (20, 40):
            yield from cluster_coverage(rounds, groups, confidence)
    for n in (30, 100):
        yield from f1_coverage(rounds, n, 0.95)
    yield from recipe_coverage(rounds, 0.95)


def sizes(rounds: int) -> Iterator[Size]:
    """All rows of the second table."""
    for n in (10, 30, 100):
        yield from mcnemar_sizes(n)
        yield from sign_flip_sizes(rounds, n)
    for n in (30, 100):
        yield from f1_sizes(rounds, n)


def main() -> None:
    """Print the three tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=2_000)
    rounds = arguments.parse_args().rounds
    print("| interval | data | n | asked for | covers | misses below / above |\n|---|---|---|--:|--:|--:|")
    for c in coverages(rounds):
        sides = "" if np.isnan(c.below) else f"{c.below:.1%} / {c.above:.1%}"
        print(f"| {c.interval} | {c.data} | {c.n} | {c.confidence:.0%} | {c.covered:.1%} | {sides} |", flush=True)
    print("\n| test at 5 % | data | n | finds a difference that is none |\n|---|---|---|--:|")
    for s in sizes(rounds):
        print(f"| {s.test} | {s.data} | {s.n} | {s.found:.1%} |", flush=True)
    print("\n| 1,000 rows, 10,000 draws | seconds |\n|---|--:|")
    for name, taken in seconds():
        print(f"| {name} | {taken:.2f} |", flush=True)


if __name__ == "__main__":
    main()
