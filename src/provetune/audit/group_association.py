"""Do named groups of people come with certain labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from provetune.audit.inputs import AuditInput, once, rows_text
from provetune.audit.named_groups import FEWEST_ROWS, different_rows, named_rows
from provetune.audit.refusals import is_refusal
from provetune.records.data import Example, Finding
from provetune.slices import LIMITS, Group
from provetune.stats.estimate import Estimate
from provetune.stats.multiple import benjamini_hochberg
from provetune.stats.proportion import wilson

FALSE_FINDS = 0.05
"""Expected share of chance finds among the associations named."""
STRONG = 0.1
"""Difference of shares above which an association deserves a warning."""
REFUSAL, ANSWER = "(declined)", "(answered)"
_SHOWN = 3


@dataclass(frozen=True)
class Association:
    """How often a label stands in rows that name a group, against all other rows; copies of a row count once.

    `difference` is share with minus share without the group, `p` of Fisher's exact test adjusted by Benjamini and Hochberg.
    """

    group: Group
    label: str
    with_group: Estimate
    without_group: Estimate
    difference: Estimate
    odds_ratio: Estimate
    p: float
    places: tuple[int, ...]


def group_association(inputs: AuditInput) -> list[Finding]:
    """Labels (or, for free text, refusals) that stand with a named group more or less often than chance explains.

    A warning where a share surely differs by more than 10 points. It says nothing about why: a topic may concern a group rightly.
    """
    tested = once(inputs, associations)
    found = [pair for pair in tested if pair.p <= FALSE_FINDS]
    if not found:
        return []
    places = list(dict.fromkeys(place for pair in found for place in pair.places))
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return [
        Finding(
            check="group_association",
            severity="warning" if any(is_strong(pair) for pair in found) else "info",
            message=f"{len(found):,} of {len(tested):,} pairs of named group and label stand together more or less often than chance "
            f"explains: {'; '.join(_told(pair) for pair in found[:_SHOWN])}{more}. {LIMITS}",
            count=len(places),
            example_ids=tuple(inputs.examples[place].id for place in places[:50]),
            observed=found[0].difference,
            threshold=STRONG,
            remedy="Read these rows. Where the group should not matter for the label, add rows that name the group with the other labels, "
            "or copies of these rows with the group exchanged.",
        )
    ]


def is_strong(pair: Association) -> bool:
    """Whether the shares surely differ by more than 10 points."""
    low, high = pair.difference.low, pair.difference.high
    return low is not None and high is not None and (low > STRONG or high < -STRONG)


def associations(inputs: AuditInput) -> list[Association]:
    """Every pair of a group that at least 20 different rows name and a label, strongest evidence first."""
    rows = different_rows(inputs)
    classify = inputs.task.type == "classify"
    labels = {place: label for place in rows if (label := _label(inputs.examples[place], classify)) is not None}
    counts: dict[str, int] = {}
    for label in labels.values():
        counts[label] = counts.get(label, 0) + 1
    if len(counts) < 2:
        return []
    raw = [
        pair for group, places in named_rows(inputs).items() for pair in _pairs(group, [p for p in places if p in labels], labels, counts)
    ]
    adjusted = benjamini_hochberg([pair.p for pair in raw])
    pairs = [Association(**{**vars(pair), "p": p}) for pair, p in zip(raw, adjusted, strict=True)]
    return sorted(pairs, key=lambda pair: (pair.p, -abs(pair.difference.value or 0.0)))


def _label(example: Example, classify: bool) -> str | None:
    if classify:
        return example.label
    return REFUSAL if is_refusal(example.target) else ANSWER


def _pairs(group: Group, places: list[int], labels: dict[int, str], counts: dict[str, int]) -> Iterator[Association]:
    """Each label against one group, p not yet adjusted."""
    from scipy.stats import fisher_exact

    named, others = len(places), len(labels) - len(places)
    if min(named, others) < FEWEST_ROWS:
        return
    own: dict[str, list[int]] = {}
    for place in places:
        own.setdefault(labels[place], []).append(place)
    for label, count in counts.items():
        if label == ANSWER or count < FEWEST_ROWS:
            continue  # the other side of the refusals; too few rows to tell
        inside = own.get(label, [])
        with_group, without_group = wilson(len(inside), named), wilson(count - len(inside), others)
        table = [[len(inside), named - len(inside)], [count - len(inside), others - count + len(inside)]]
        rarer = with_group.value is not None and without_group.value is not None and with_group.value < without_group.value
        yield Association(
            group=group,
            label=label,
            with_group=with_group,
            without_group=without_group,
            difference=difference(with_group, without_group),
            odds_ratio=odds_ratio(table),
            p=min(1.0, float(fisher_exact(np.array(table)).pvalue)),
            # where the label is missing, the rows that name the group under other labels are the evidence
            places=tuple(place for place in places if labels[place] != label) if rarer else tuple(inside),
        )


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Share a minus share b of two independent samples, with Newcombe's interval (1998, method 10) from Wilson's two.

    >>> str(difference(wilson(56, 70), wilson(48, 80)))
    '0.200 [0.052, 0.334], n=150'
    """
    if a.value is None or a.low is None or a.high is None or b.value is None or b.low is None or b.high is None:
        return Estimate(None, None, None, a.n + b.n, a.confidence, "Newcombe")
    found = a.value - b.value
    low = found - math.hypot(a.value - a.low, b.high - b.value)
    high = found + math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(found, low, high, a.n + b.n, a.confidence, "Newcombe")


def odds_ratio(table: list[list[int]], confidence: float = 0.95) -> Estimate:
    """Odds ratio of a 2 x 2 table with Woolf's interval (1955), half a row added to each cell (Haldane 1956)."""
    (a, b), (c, d) = ((cell + 0.5 for cell in row) for row in table)
    log = math.log(a * d / (b * c))
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    low, value, high = (math.exp(log + shift) for shift in (-half, 0.0, half))
    return Estimate(value, low, high, sum(map(sum, table)), confidence, "Woolf")


def _told(pair: Association) -> str:
    odds = pair.odds_ratio
    return (
        f"{pair.label!r} in {pair.with_group.value:.0%} of the {rows_text(pair.with_group.n)} that name {pair.group[1]} ({pair.group[0]}) "
        f"against {pair.without_group.value:.0%} of the others (odds ratio {odds.value:.1f} [{odds.low:.1f}, {odds.high:.1f}], "
        f"adjusted p {pair.p:.1g})"
    )
