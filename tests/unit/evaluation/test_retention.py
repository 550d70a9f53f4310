"""Skills before and after tuning: which items count as right, what is judged, and what the numbers are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from provetune.evaluation.retention import Terms, Texts, again, compare_skills, drift, measure_retention, overall, score_suite, write_texts
from provetune.protocols import TokenDivergence
from provetune.records.data import Message
from provetune.records.retention import ItemScore, RetentionReport, SkillRetention, SuiteItem, SuiteScores
from provetune.stats.binary import bonett_price
from provetune.stats.proportion import wilson
from tests.unit.evaluation.pairs import Pair, Table, quiet


def items(count: int, skill: str = "sums", options: int = 2, group: int = 1) -> list[SuiteItem]:
    """Item k asks for k; option 0 is right."""
    return [
        SuiteItem(
            id=f"{skill}-{k}",
            skill=skill,
            prompt=f"{skill} {k}",
            options=tuple(f"option {place}" for place in range(options)),
            group=None if group == 1 else f"group {k // group}",
        )
        for k in range(count)
    ]


def scores(right: list[bool]) -> SuiteScores:
    rows: tuple[ItemScore, ...] = tuple((float(one), 1.0, 0.2) if one else (0.0, 3.0, 1.5) for one in right)
    return SuiteScores(suite="builtin", items_sha256="", scores=rows)


def skill_of(before: list[bool], after: list[bool], group: int = 1, options: int = 2) -> SkillRetention:
    [found] = compare_skills(items(len(before), options=options, group=group), scores(before), scores(after), Terms())
    return found


def test_the_likeliest_option_is_chosen_and_its_nats_are_kept() -> None:
    table = Table(lambda prompt, option: -1.0 if option == "option 0" else -2.0)
    [row] = score_suite(table, "s", items(1, options=3), quiet).scores
    assert row is not None
    assert row[0] == 1.0 and row[1] == 1.0
    assert row[2] == pytest.approx(-math.log(math.exp(-1) / (math.exp(-1) + 2 * math.exp(-2))), abs=1e-5)


def test_a_tie_is_no_choice() -> None:
    assert score_suite(Table(lambda prompt, option: -1.0), "s", items(1), quiet).scores == ((0.0, 1.0, round(math.log(2), 5)),)


def test_a_pattern_must_match_the_whole_completion() -> None:
    asked = [SuiteItem(id=str(k), skill="free", prompt=f"p{k}", pattern="[A-Z]+", system="Be brief.") for k in range(4)]
    table = Table(lambda prompt, option: None, {"p0": " YES ", "p1": "Yes", "p2": "YES, sir"})
    assert score_suite(table, "s", asked, quiet).scores == ((1.0,), (0.0,), (0.0,), None)
    assert [[m.role for m in messages] for messages in table.asked] == [["system", "user"]] * 4


def test_the_difference_is_the_paired_one_with_a_one_sided_bound() -> None:
    before = [True] * 300 + [False] * 100
    after = [True] * 270 + [False] * 30 + [True] * 10 + [False] * 90
    found = skill_of(before, after)
    wanted = bonett_price(10, 30, 400, 0.90)
    assert (found.difference.low, found.difference.high) == (wanted.low, wanted.high) and found.difference.value == -0.05
    for share, right in ((found.before, 300), (found.after, 280)):
        wide = wilson(right, 400)
        assert (share.low, share.high) == pytest.approx((wide.low, wide.high), abs=0.003) and share.confidence == 0.95
    assert (found.lost, found.gained, found.items, found.status) == (30, 10, 400, "judged")


def test_nats_see_what_right_and_wrong_do_not() -> None:
    asked = items(300)
    before = score_suite(Table(lambda prompt, option: -1.0 if option == "option 0" else -4.0), "s", asked, quiet)
    after = score_suite(Table(lambda prompt, option: -(1.5 + int(prompt[-1]) / 100) if option == "option 0" else -4.0), "s", asked, quiet)
    [found] = compare_skills(asked, before, after, Terms())
    assert found.difference.value == 0 and found.nats_difference is not None and found.choice_nats_difference is not None
    assert found.nats_difference.value == pytest.approx(0.545) and found.nats_difference.low is not None
    assert found.nats_difference.low > 0.5 and (found.choice_nats_difference.low or 0) > 0


@pytest.mark.parametrize(
    ("right", "count", "options", "status"),
    [
        (0.50, 400, 2, "not measurable"),  # at chance
        (0.53, 400, 2, "not measurable"),
        (0.56, 200, 2, "not measurable"),  # by more than the margin, but the interval reaches chance
        (0.54, 2000, 2, "not measurable"),  # above chance, but by less than the margin: it cannot lose so much
        (0.65, 400, 2, "judged"),
        (0.30, 400, 4, "not measurable"),
        (0.40, 400, 4, "judged"),
        (0.90, 200, 2, "too small to judge"),
        (0.00, 400, 2, "not measurable"),
    ],
)
def test_only_what_the_base_can_do_is_judged(right: float, count: int, options: int, status: str) -> None:
    answers = [place < right * count for place in range(count)]
    assert skill_of(answers, answers, options=options).status == status


def test_items_of_a_group_are_no_independent_evidence() -> None:
    before = [True] * 400
    after = [place % 40 >= 4 for place in range(400)]  # whole groups are lost
    alone, grouped = skill_of(before, after), skill_of(before, after, group=4)
    assert grouped.difference.n == 100 and grouped.difference.value == alone.difference.value == -0.1
    widths = [(one.difference.high or 0) - (one.difference.low or 0) for one in (alone, grouped)]
    assert widths[1] > 1.5 * widths[0]


def test_a_few_large_groups_settle_nothing() -> None:
    assert skill_of([True] * 400, [True] * 400, group=80).status == "too small to judge"


def test_items_that_were_not_measured_are_counted() -> None:
    asked = items(300)
    table = Table(lambda prompt, option: None if prompt.endswith("7") else -float(option[-1]) - 1)
    found = score_suite(table, "s", asked, quiet)
    [skill] = compare_skills(asked, found, found, Terms())
    assert (skill.items, skill.not_measured) == (270, 30)


@pytest.mark.parametrize("broken", [math.nan, -math.inf])
def test_a_likelihood_that_is_no_number_is_not_measured(broken: float) -> None:
    assert score_suite(Table(lambda prompt, option: broken), "s", items(1), quiet).scores == (None,)


def test_only_what_the_base_wrote_itself_is_measured() -> None:
    talk = tuple(Message(role=role, content=text) for role, text in (("user", "a"), ("assistant", "b"), ("user", "c")))
    [found] = write_texts(Table(lambda prompt, option: None, {"c": "d"}), [talk], 0, quiet)
    assert [(m.role, m.content) for m in found] == [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    assert [m.weight for m in found if m.role == "assistant"] == [0, 1]


def test_nothing_measured_is_not_measurable() -> None:
    asked = items(3)
    found = score_suite(Table(lambda prompt, option: None), "s", asked, quiet)
    [skill] = compare_skills(asked, found, found, Terms())
    assert (skill.status, skill.items, skill.not_measured, skill.difference.value) == ("not measurable", 0, 3, None)
    assert overall([skill]) is None


@pytest.mark.parametrize("group", [1, 4])
def test_everything_is_computed_again_from_the_stored_scores(group: int) -> None:
    draw = np.random.default_rng(3)
    before, after = (list(draw.random(400) < share) for share in (0.8, 0.75))
    found = skill_of(before, after, group)
    assert again(SkillRetention.model_validate_json(found.model_dump_json())) == found


def test_the_report_over_two_suites() -> None:
    base = Table(lambda prompt, option: -1.0 if option == "option 0" else -2.0, {"Hi": "Hello"})
    tuned = Table(lambda prompt, option: -1.0 if (option == "option 0") != prompt.startswith("verbs") else -2.0)
    suites = {"a": [*items(300), *items(300, "verbs")], "b": items(10, "few")}
    texts = Texts(prompts=[(Message(role="user", content="Hi"),), (Message(role="user", content="unknown"),)])
    report = measure_retention(Pair(base, tuned), suites, texts, Terms(), quiet)
    assert [(s.suite, s.skill, s.status, s.difference.value) for s in report.skills] == [
        ("a", "sums", "judged", 0.0),
        ("a", "verbs", "judged", -1.0),
        ("b", "few", "too small to judge", 0.0),
    ]
    assert report.kl_self is not None and report.kl_self.not_measured == 1, "what the base could not write is counted"
    assert (report.kl_self.texts, report.kl_self.kl.value, report.kl_self.nats_difference.value) == (
        1,
        0.5,
        0.25,
    )
    assert report.kl_task is None
    together = overall(report.skills)
    assert together is not None and together.value == -0.5 and together.n == 600
    assert RetentionReport.from_json(report.to_json()) == report


def test_scores_of_the_base_that_are_there_are_not_made_again() -> None:
    asked = items(300)
    good = Table(lambda prompt, option: -1.0 if option == "option 0" else -2.0)
    stored = score_suite(good, "a", asked, quiet)
    never = Table(lambda prompt, option: pytest.fail("the base was asked"))
    report = measure_retention(Pair(never, good), {"a": asked}, Texts(), Terms(before={"a": stored}), quiet)
    assert report.skills[0].difference.value == 0 and report.kl_self is None


def test_drift_counts_tokens_alike_and_resamples_texts() -> None:
    long, short = (TokenDivergence(np.full(n, kl), np.zeros(n), np.full(n, kl)) for n, kl in ((30, 1.0), (10, 3.0)))
    found = drift([long, short, None] * 20)
    assert (found.texts, found.not_measured, found.kl.n) == (40, 20, 40)
    assert found.kl.value == pytest.approx((30 * 1.0 + 10 * 3.0) / 40)  # a mean over tokens, not over texts (2.0)
    assert found.kl.low is not None and found.kl.high is not None and found.kl.low < 1.5 < found.kl.high
    assert found.nats_difference.value == found.kl.value


def test_drift_of_nothing_is_not_measured() -> None:
    assert drift([None]).kl.value is None
