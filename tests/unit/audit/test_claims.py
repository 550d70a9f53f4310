"""The five claims: what passes, what fails, what is not measured, and the interval of a reviewed error rate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from provetune.audit import audit
from provetune.audit.claims import accurate, claims, diverse, relevant, reviewed_error_rate, unbiased
from provetune.records.data import Claim, Finding
from provetune.records.labels import Agreement, AgreementLevel
from provetune.stats.estimate import Estimate
from tests.unit.audit.public import asked, banking, clinc, static
from tests.unit.audit.rows import NOUNS, VERBS, clean, example, inputs

NAMES = ["relevant", "diverse", "accurate", "unbiased", "enough"]


def by_name(found: tuple[Claim, ...]) -> dict[str, Claim]:
    return {claim.name: claim for claim in found}


def low(claim: Claim) -> float:
    assert claim.value is not None
    assert claim.value.low is not None
    return claim.value.low


def test_a_good_public_set(public_data: Path) -> None:
    given = asked(banking(public_data)[::4], static(public_data), banking(public_data, "test")[::4])
    report = audit(given, "banking77")
    found = by_name(report.claims)
    assert list(found) == NAMES
    assert {name: claim.outcome for name, claim in found.items()} == {
        "relevant": "pass",
        "diverse": "pass",
        "accurate": "inconclusive",
        "unbiased": "inconclusive",
        "enough": "inconclusive",
    }
    assert all(low(found[name]) > 0 for name in NAMES[:3])
    ids = {row.id for row in given.examples}
    assert all(0 < len(found[name].evidence_ids) <= 10 and set(found[name].evidence_ids) <= ids for name in NAMES[:3])
    assert "Needs review" in found["accurate"].reason
    assert "toxicity was not measured" in found["unbiased"].reason
    assert "Not measured" in found["enough"].reason
    assert type(report).from_json(report.to_json()) == report


def test_without_vectors_or_rows_nothing_passes() -> None:
    for given in (inputs([]), inputs(clean()[:20])):
        found = by_name(claims(given, ()))
        assert list(found) == NAMES
        assert all(claim.outcome == "inconclusive" and claim.reason for claim in found.values())


def test_rows_of_another_task_are_not_relevant(public_data: Path) -> None:
    rows = [*banking(public_data)[::10], *clinc(public_data)[::8]]
    found = relevant(asked(rows, static(public_data), banking(public_data, "test")))
    assert found.outcome == "fail"
    assert sum(int(row[1:]) >= 20_000 for row in found.evidence_ids) >= 9


def test_test_prompts_without_rows_near_them_fail_too(public_data: Path) -> None:
    topics = {"card_arrival", "card_linking", "exchange_rate"}
    rows = [row for row in banking(public_data) if row.label in topics]
    found = relevant(asked(rows, static(public_data), banking(public_data, "test")))
    assert low(found) >= 0.9
    assert found.outcome == "fail"


def test_copies_are_not_diverse(public_data: Path) -> None:
    rows = banking(public_data)[::50]
    copied = [
        example(100_000 + 1000 * turn + n, row.prompt_text + "!" * turn, row.target) for turn in range(5) for n, row in enumerate(rows)
    ]
    found = diverse(asked(copied, static(public_data)))
    assert found.outcome == "fail"
    assert found.value is not None
    assert found.value.value == pytest.approx(0.2, abs=0.01)


def test_many_conflicts_are_not_accurate() -> None:
    rows = clean() + [example(500 + n, row.prompt_text, "other") for n, row in enumerate(clean()[:20])]
    given = inputs(rows)
    found = by_name(audit(given, "data").claims)["accurate"]
    assert found.outcome == "fail"
    assert found.evidence_ids


def reviewed(flagged: dict[bool, int], others: dict[bool, int]) -> tuple[dict[str, bool], frozenset[int]]:
    """Reviews of 80 rows of which the first 20 are doubted: numbers of wrong and right ones in each part."""
    marks = [wrong for wrong, count in flagged.items() for _ in range(count)]
    rest = [wrong for wrong, count in others.items() for _ in range(count)]
    return {**{f"r{n}": w for n, w in enumerate(marks)}, **{f"r{20 + n}": w for n, w in enumerate(rest)}}, frozenset(range(20))


def test_the_error_rate_joins_both_parts_of_the_review() -> None:
    reviews, doubted = reviewed({True: 12, False: 8}, {True: 1, False: 39})
    rate = reviewed_error_rate(replace(inputs(clean()), reviewed=reviews), doubted)
    assert rate is not None
    assert rate.value == pytest.approx(0.25 * 0.6 + 0.75 / 40)
    # Wilson's limits of 12 in 20 (.3866, .7812) and 1 in 40 (.0044, .1288), joined
    assert rate.low == pytest.approx(rate.value - np.hypot(0.25 * (0.6 - 0.38658), 0.75 * (0.025 - 0.00443)), abs=1e-4)
    assert rate.high == pytest.approx(rate.value + np.hypot(0.25 * (0.78119 - 0.6), 0.75 * (0.12882 - 0.025)), abs=1e-4)


def test_a_review_of_one_part_only_is_no_rate() -> None:
    reviews, doubted = reviewed({True: 12, False: 8}, {})
    assert reviewed_error_rate(replace(inputs(clean()), reviewed=reviews), doubted) is None
    assert reviewed_error_rate(inputs(clean()), frozenset()) is None


def test_the_interval_of_the_error_rate_covers_it() -> None:
    rng, hits = np.random.default_rng(0), 0
    rows = [example(n, f"prompt {n}", "a") for n in range(1000)]
    given = inputs(clean())
    for _ in range(200):
        wrong = np.concatenate([rng.random(100) < 0.6, rng.random(900) < 0.03])
        seen = [*rng.choice(100, 50, replace=False), *(100 + rng.choice(900, 50, replace=False))]
        rate = reviewed_error_rate(
            replace(given, examples=rows, groups=range(1000), reviewed={f"r{n}": bool(wrong[n]) for n in seen}), frozenset(range(100))
        )
        assert rate is not None
        assert rate.low is not None
        assert rate.high is not None
        hits += rate.low <= wrong.mean() <= rate.high
    assert hits >= 186  # 93 % of 200


@pytest.mark.parametrize(("wrong", "outcome"), [(0, "pass"), (35, "fail")])
def test_a_review_settles_accuracy(wrong: int, outcome: str, public_data: Path) -> None:
    given = asked(banking(public_data)[::10], static(public_data))
    unread = by_name(claims(given, ()))["accurate"]
    assert unread.outcome == "inconclusive"
    doubted = set(unread.evidence_ids)
    plain = [row.id for row in given.examples if row.id not in doubted][:100]
    reviews = dict.fromkeys(doubted, False) | {row: n < wrong for n, row in enumerate(plain)}
    assert accurate(replace(given, reviewed=reviews), {}).outcome == outcome


def test_unbiased_passes_where_many_rows_show_no_difference_and_not_on_few() -> None:
    def people(rows: int) -> Claim:
        made = [
            example(n, f"{('She', 'He')[n // 2 % 2]} {NOUNS[n % 13]} {VERBS[n % 7]} {n} {n * 7919 % 100_003}", ("grant", "refuse")[n % 2])
            for n in range(rows)
        ]
        return unbiased(replace(inputs(clean()), examples=made, groups=range(rows)), {})

    few, many = people(100), people(4000)
    assert (few.outcome, many.outcome) == ("inconclusive", "pass")
    assert "Too few rows" in few.reason
    assert "no label hangs on a named group" in many.reason.lower()


def test_personal_data_that_blocks_fails_the_claim() -> None:
    finding = Finding(check="personal_data", severity="blocker", message="x", count=3, example_ids=("r1",))
    found = unbiased(inputs(clean()), {"personal_data": [finding]})
    assert (found.outcome, found.evidence_ids) == ("fail", ("r1",))
    assert "personal data: 3 rows" in found.reason.lower()


def annotators(level: AgreementLevel, alpha: float | None) -> Agreement:
    value = None if alpha is None else Estimate(alpha, alpha - 0.05, alpha + 0.05, 60, 0.95, "bootstrap")
    return Agreement(
        dataset="d", rows=300, voted=60, shared=60, undecided=0, set_aside=0, annotators=(), scale="nominal", alpha=value, level=level
    )


def test_annotators_who_surely_disagree_settle_nothing() -> None:
    read = {e.id: False for e in clean()}

    def judged(found: Agreement | None) -> Claim:
        given = replace(inputs(clean()), reviewed=read, agreement=found)
        return accurate(given, {})

    assert judged(None).outcome == judged(annotators("reliable", 0.9)).outcome == "pass"
    doubtful = judged(annotators("revise the guideline", 0.3))
    assert doubtful.outcome == "inconclusive" and "revise the guideline" in doubtful.reason
    assert doubtful.measures["agreement of the annotators (Krippendorff's alpha)"].value == 0.3
    assert judged(annotators("not measured", None)) == judged(None)
