"""The five claims that good data makes: relevant, diverse, accurate, unbiased, enough.

Each stands alone, with a figure, its interval and rows to look at; what nobody measured is said and never a pass. There is
no mixed score, since nothing validates one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from provetune.audit.diversity import FEW, measure_diversity
from provetune.audit.group_association import FALSE_FINDS, STRONG, associations, difference, is_strong
from provetune.audit.inputs import AuditInput, once
from provetune.audit.label_errors import find_label_errors
from provetune.audit.relevance import measure_relevance
from provetune.records.data import Claim, Finding, Outcome
from provetune.records.labels import Agreement
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson

LEAST_RELEVANT = 0.9
"""Share of the rows that must look like the test prompts, and of test prompts that must have rows near them; 0.95 is usual."""
LEAST_DIFFERENT = 0.8
"""Share of the rows that must remain when near-duplicates count as one."""
MOST_WRONG = 0.1
"""Share of wrong labels that is still called accurate."""
MOST_FAULTY = 0.05
"""Share of conflicting or unreadable targets from which on data is not called accurate."""
_SHOWN = 10
_HARM = ("personal_data", "secrets", "toxicity")
_IMBALANCE = ("class_balance", "label_counts", "refusals")


def claims(inputs: AuditInput, findings: Sequence[Finding]) -> tuple[Claim, ...]:
    """The five claims about these rows, from measures that the checks share with them and from their findings."""
    by_check: dict[str, list[Finding]] = {}
    for finding in findings:
        by_check.setdefault(finding.check, []).append(finding)
    return (relevant(inputs), diverse(inputs), accurate(inputs, by_check), unbiased(inputs, by_check), ENOUGH_UNKNOWN)


ENOUGH_UNKNOWN = Claim(
    name="enough",
    outcome="inconclusive",
    reason="Not measured: whether more examples would help shows only when parts of the rows are trained on (provetune audit --curve).",
    what="gain from twice as many examples",
)


def relevant(inputs: AuditInput) -> Claim:
    """Do the rows look like the test prompts, and has each test prompt rows near it."""
    what = "share of rows that look like the prompts of the test file"
    found = once(inputs, measure_relevance)
    if found is None:
        reason = "Not measured: it needs a file of real requests to compare with (data.test, at least 20 rows)."
        return Claim(name="relevant", outcome="inconclusive", reason=reason, what=what, limit=LEAST_RELEVANT)
    near = wilson(len(found.scores) - len(found.far), len(found.scores))
    outcome = _worst(_at_least(near, LEAST_RELEVANT), _at_least(found.covered, LEAST_RELEVANT))
    return Claim(
        name="relevant",
        outcome=outcome,
        reason=f"{near.value:.1%} of the rows are as near to the test prompts as 95 % of these are to each other, and "
        f"{found.covered.value:.1%} of the test prompts have rows as near to them. Vectors tell topics apart, not tasks on one topic.",
        what=what,
        value=near,
        limit=LEAST_RELEVANT,
        evidence_ids=_ids(inputs, found.far),
        measures={"test prompts with rows near them": found.covered},
    )


def diverse(inputs: AuditInput) -> Claim:
    """How many of the rows say something new."""
    what = "different prompts for each row, near-duplicates counting as one"
    total = len(inputs.examples)
    if not total:
        return Claim(name="diverse", outcome="inconclusive", reason="Not measured: there are no rows.", what=what, limit=LEAST_DIFFERENT)
    sizes: dict[int, int] = {}
    for group in inputs.groups:
        sizes[group] = sizes.get(group, 0) + 1
    different = wilson(len(sizes), total)
    outcome = _at_least(different, LEAST_DIFFERENT)
    repeated = sorted((place for place in range(total) if sizes[inputs.groups[place]] > 1), key=lambda place: -sizes[inputs.groups[place]])
    reason = f"{total:,} rows hold {len(sizes):,} different prompts"
    measures: dict[str, Estimate] = {}
    found = once(inputs, measure_diversity)
    if found is None or found.vendi.value is None:
        outcome = _worst(outcome, "inconclusive")
        reason += "; how different they are in meaning was not measured (it takes 50 rows and vectors)."
    else:
        outcome = _worst(outcome, _at_least(found.vendi, FEW))
        measures = {"Vendi score": found.vendi, "median cosine to the nearest other row": found.neighbour}
        reason += (
            f", as varied as {found.vendi.value:.1f} entirely different ones (Vendi score); half of the rows have another at cosine "
            f"{found.neighbour.value:.2f} or more."
        )
    evidence = repeated or (found.nearest if found is not None else ())
    return Claim(
        name="diverse",
        outcome=outcome,
        reason=reason,
        what=what,
        value=different,
        limit=LEAST_DIFFERENT,
        evidence_ids=_ids(inputs, evidence),
        measures=measures,
    )


def accurate(inputs: AuditInput, by_check: dict[str, list[Finding]]) -> Claim:
    """Are the targets right: clear faults, doubtful labels, and what people said who read some."""
    faults = [f for name in ("conflicting_labels", "schema_targets", "format", "loss_mask") for f in by_check.get(name, []) if _is_fault(f)]
    measures = {f"{f.check.replace('_', ' ')} ({f.severity})": f.observed for f in faults if isinstance(f.observed, Estimate)}
    broken = any(low > MOST_FAULTY for low in (m.low for m in measures.values()) if low is not None)
    found = once(inputs, find_label_errors)
    doubted = wilson(len(found.places), found.judged) if found is not None else None
    if doubted is not None:
        measures["labels doubted by a classifier"] = doubted
    evidence = (*(found.places if found is not None else ()),)
    wrong = reviewed_error_rate(inputs, frozenset(evidence))
    clear = f"clear faults: {', '.join(measures)}" if faults else "no clear faults were found"
    if wrong is None:
        outcome: Outcome = "fail" if broken else "inconclusive"
        told = f"a classifier doubts {doubted.value:.1%} of the labels, " if doubted is not None else ""
        reason = (
            f"Needs review: {clear}; {told}and nobody has said of 50 doubtful and 50 random rows whether they are right "
            "(provetune label --queue review, then --queue random)."
        )
    else:
        outcome = "fail" if broken else _at_most(wrong, MOST_WRONG)
        reason = f"By the rows that people read, {wrong.value:.1%} of the labels are wrong; {clear}."
    claim = Claim(
        name="accurate",
        outcome=outcome,
        reason=reason,
        what="share of labels that a classifier doubts" if wrong is None else "share of wrong labels",
        value=doubted if wrong is None else wrong,
        limit=MOST_WRONG,
        evidence_ids=_ids(inputs, evidence) or tuple(dict.fromkeys(i for f in faults for i in f.example_ids))[:_SHOWN],
        measures=measures,
    )
    return _with_agreement(claim, inputs.agreement)


def _with_agreement(claim: Claim, found: Agreement | None) -> Claim:
    """The claim with what the annotators' agreement adds: people who surely disagree cannot make it pass."""
    if found is None or found.alpha is None or found.alpha.value is None:
        return claim
    told = f" Agreement of the {len(found.annotators)} annotators (Krippendorff's alpha {found.alpha}): {found.level}."
    doubtful = found.level == "revise the guideline"
    return claim.model_copy(
        update={
            "outcome": _worst(claim.outcome, "inconclusive") if doubtful else claim.outcome,
            "reason": claim.reason + told,
            "measures": {**claim.measures, "agreement of the annotators (Krippendorff's alpha)": found.alpha},
        }
    )


def reviewed_error_rate(inputs: AuditInput, doubted: frozenset[int]) -> Estimate | None:
    """Share of wrong labels in all rows, from reviewed doubtful rows and reviewed other ones; None unless both kinds were read.

    Flagged share times precision, plus the rest times the rate among the others; the interval joins Wilson's two by the method of
    variance estimates recovery (Zou and Donner 2008). Doubtful rows are read worst first, so that those not read are less often
    wrong: for the lower bound they count as right.
    """
    reviews: dict[bool, list[bool]] = {True: [], False: []}
    for place, example in enumerate(inputs.examples):
        if example.id in inputs.reviewed:
            reviews[place in doubted].append(inputs.reviewed[example.id])
    if not reviews[False] or (doubted and not reviews[True]):
        return None
    share = len(doubted) / len(inputs.examples)
    parts = [(share, wilson(sum(reviews[True]), len(reviews[True]))), (1 - share, wilson(sum(reviews[False]), len(reviews[False])))]
    rates = [(weight, e.value, e.low, e.high) for weight, e in parts if weight and e.value is not None]
    value = sum(weight * rate for weight, rate, _, _ in rates)
    low = value - math.hypot(*(weight * (rate - (least or 0.0)) for weight, rate, least, _ in rates))
    high = value + math.hypot(*(weight * ((most or 0.0) - rate) for weight, rate, _, most in rates))
    if len(reviews[True]) < len(doubted):
        low = min(low, sum(reviews[True]) / len(inputs.examples) + rates[-1][0] * (rates[-1][2] or 0.0))
    return Estimate(value, max(0.0, low), min(1.0, high), len(inputs.reviewed), 0.95, "Wilson, joined")


def unbiased(inputs: AuditInput, by_check: dict[str, list[Finding]]) -> Claim:
    """Do labels hang on groups of people, and is there anything harmful in the rows."""
    harm = [finding for name in _HARM for finding in by_check.get(name, []) if finding.severity != "info"]
    uneven = [finding for name in _IMBALANCE for finding in by_check.get(name, []) if finding.severity != "info"]
    tested = once(inputs, associations)
    found = [pair for pair in tested if pair.p <= FALSE_FINDS]
    strong = [pair for pair in found if is_strong(pair)]
    reasons = [f"{finding.check.replace('_', ' ')}: {finding.count:,} rows" for finding in (*harm, *uneven)]
    outcome: Outcome = "inconclusive" if reasons else "pass"
    if not tested:
        reasons.append("not measured for groups of people: none is named in 20 different rows beside other labels")
        outcome = "inconclusive"
    elif strong:
        reasons.append(
            f"needs review: {len(strong):,} of {len(tested):,} pairs of group and label stand together unusually often or rarely"
        )
        outcome = "inconclusive"
    elif not all(_surely_small(pair.with_group, pair.without_group, len(tested)) for pair in tested):
        reasons.append(f"too few rows name groups to rule out differences of {100 * STRONG:.0f} points in {len(tested):,} pairs")
        outcome = "inconclusive"
    if any(finding.severity == "blocker" for finding in harm):
        outcome = "fail"
    if inputs.toxicity is None:
        reasons.append("toxicity was not measured")
    largest = max(found or tested, key=lambda pair: abs(pair.difference.value or 0.0), default=None)
    shown = [place for pair in strong or found for place in pair.places]
    return Claim(
        name="unbiased",
        outcome=outcome,
        reason=_sentence(["no label hangs on a named group", *reasons] if outcome == "pass" else reasons),
        what="largest difference in the share of a label between rows that name a group and the others"
        + (f" ({largest.label!r}, {largest.group[1]})" if largest is not None else ""),
        value=largest.difference if largest is not None else None,
        limit=STRONG,
        evidence_ids=_ids(inputs, dict.fromkeys(shown)) or tuple(i for f in (*harm, *uneven) for i in f.example_ids)[:_SHOWN],
    )


def _surely_small(a: Estimate, b: Estimate, pairs: int) -> bool:
    """Whether the difference of two shares stays below 10 points in all pairs together (Bonferroni)."""
    confidence = 1 - 0.05 / pairs
    wider = difference(*(wilson(round((e.value or 0.0) * e.n), e.n, confidence) for e in (a, b)))
    return wider.low is not None and wider.high is not None and wider.low >= -STRONG and wider.high <= STRONG


def _is_fault(finding: Finding) -> bool:
    return finding.severity != "info" and "HTML" not in finding.message


def _at_least(value: Estimate, limit: float) -> Outcome:
    if value.low is None or value.high is None:
        return "inconclusive"
    return "pass" if value.low >= limit else "fail" if value.high < limit else "inconclusive"


def _at_most(value: Estimate, limit: float) -> Outcome:
    if value.low is None or value.high is None:
        return "inconclusive"
    return "pass" if value.high <= limit else "fail" if value.low > limit else "inconclusive"


def _worst(*outcomes: Outcome) -> Outcome:
    order: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")
    return min(outcomes, key=order.index)


def _ids(inputs: AuditInput, places: Iterable[int]) -> tuple[str, ...]:
    return tuple(inputs.examples[place].id for place, _ in zip(places, range(_SHOWN), strict=False))


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
