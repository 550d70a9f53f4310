"""Agreement of the independent votes: alpha, kappas, classes, pairs of annotators; ROUGE-L for free text."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from provetune.labelling.consensus import undecided
from provetune.labelling.queues import rows_fingerprint
from provetune.labelling.rows import Row
from provetune.labelling.votes import Standing
from provetune.records.labels import Agreement, AgreementLevel, AnnotatorCount, ClassCount, PairAgreement, Vote
from provetune.stats.agreement import Scale, class_agreement, cohen_kappa, fleiss_kappa, krippendorff_alpha
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson
from provetune.stats.resampling import mean_interval
from provetune.stats.units import FloatArray, IntArray, Resampling

RELIABLE, TENTATIVE = 0.8, 0.667
"""Krippendorff's customary limits for alpha."""
DRAWS = Resampling(seed=7)


def agreement(rows: Mapping[str, Row], held: Standing, set_aside: int, labels: Sequence[str], scale: Scale = "nominal") -> Agreement:
    """What the annotators' votes say about each other; votes that decide (adjudication, ground truth) are left out.

    `labels` in their order are the columns (for ordinal: lowest first; for interval and ratio: numbers); empty where answers are free text,
    which has no alpha. Raises ValueError where the labels do not fit the scale.
    """
    own = [vote for vote in held.values() if not vote.decides]
    votes = [vote for vote in own if vote.action == "vote"]
    names = sorted({vote.annotator for vote in own})
    codes = _codes(votes, names, labels)
    counts = np.stack([(codes == k).sum(axis=1) for k in range(len(labels))], axis=1) if labels else np.zeros((0, 0), dtype=np.int64)
    alpha = krippendorff_alpha(counts, scale, DRAWS, _values(labels, scale)) if labels else None
    per_row = Counter(vote.example_id for vote in votes)
    return Agreement(
        dataset=rows_fingerprint(rows),
        rows=len(rows),
        voted=len(per_row),
        shared=sum(count >= 2 for count in per_row.values()),
        undecided=len(undecided(held)),
        set_aside=set_aside,
        annotators=tuple(_count(name, own) for name in names),
        guidelines=dict(Counter(vote.guideline or "none" for vote in votes)),
        scale=scale if labels else None,
        alpha=alpha,
        fleiss=_fleiss(counts),
        classes=_classes(counts, labels),
        pairs=tuple(_pair(first, second, votes, labels) for first, second in itertools.combinations(names, 2)),
        level=level(alpha),
    )


def level(alpha: Estimate | None) -> AgreementLevel:
    """What may be done with labels of this alpha, judged by its interval.

    >>> level(Estimate(0.9, 0.7, 1.0, 40, 0.95, "")), level(Estimate(0.9, 0.5, 1.0, 12, 0.95, ""))
    ('tentative', 'not enough shared rows')
    """
    if alpha is None or alpha.low is None or alpha.high is None:
        return "not measured"
    if alpha.low >= RELIABLE:
        return "reliable"
    if alpha.low >= TENTATIVE:
        return "tentative"
    return "revise the guideline" if alpha.high < TENTATIVE else "not enough shared rows"


def _codes(votes: Sequence[Vote], names: Sequence[str], labels: Sequence[str]) -> IntArray:
    """Label numbers [rows with a vote, annotators], -1 where there is none."""
    places = {row: k for k, row in enumerate(dict.fromkeys(vote.example_id for vote in votes))}
    numbers = {label: k for k, label in enumerate(labels)}
    columns = {name: k for k, name in enumerate(names)}
    codes = np.full((len(places), len(names)), -1, dtype=np.int64)
    for vote in votes:
        codes[places[vote.example_id], columns[vote.annotator]] = numbers.get(vote.value or "", -1)
    return codes


def _values(labels: Sequence[str], scale: Scale) -> FloatArray | None:
    if scale in ("nominal", "ordinal"):
        return None
    try:
        return np.array([float(label) for label in labels])
    except ValueError as error:
        raise ValueError(f"scale {scale!r} wants labels that are numbers: {error}") from None


def _count(name: str, votes: Sequence[Vote]) -> AnnotatorCount:
    actions = [vote.action for vote in votes if vote.annotator == name]
    return AnnotatorCount(annotator=name, votes=actions.count("vote"), skips=actions.count("skip"))


def _fleiss(counts: IntArray) -> Estimate | None:
    """Fleiss' kappa of the rows with two votes or more, where all of them have equally many."""
    twice = counts[counts.sum(axis=1) >= 2]
    return fleiss_kappa(twice, DRAWS) if len(twice) and len(set(twice.sum(axis=1).tolist())) == 1 else None


def _classes(counts: IntArray, labels: Sequence[str]) -> tuple[ClassCount, ...]:
    if not counts.sum():
        return ()
    found = zip(labels, class_agreement(counts, DRAWS), strict=True)
    return tuple(ClassCount(label=label, prevalence=one.prevalence, agreement=one.agreement) for label, one in found)


def _pair(first: str, second: str, votes: Sequence[Vote], labels: Sequence[str]) -> PairAgreement:
    ours, theirs = ({vote.example_id: vote.value or "" for vote in votes if vote.annotator == name} for name in (first, second))
    both = [row for row in ours if row in theirs]
    equal = wilson(sum(ours[row] == theirs[row] for row in both), len(both))
    if not labels:
        from provetune.metrics.overlap import rouge_l  # seconds of imports that labels do not need

        overlaps = np.array([rouge_l(ours[row], theirs[row]) for row in both], dtype=np.float64)
        return PairAgreement(first=first, second=second, equal=equal, rouge_l=mean_interval(overlaps, None, DRAWS, bounds=(0.0, 1.0)))
    numbers = {label: k for k, label in enumerate(labels)}
    codes = [np.array([numbers.get(said[row], -1) for row in both], dtype=np.int64) for said in (ours, theirs)]
    return PairAgreement(first=first, second=second, equal=equal, kappa=cohen_kappa(codes[0], codes[1], DRAWS))
