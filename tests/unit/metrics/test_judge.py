"""A judge asked in both orders, with its controls; every judge here is one that is known to be good or bad."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from provetune.metrics.judge import CONSTANT, Judgement, Pair, corrected, judge, read_verdict
from provetune.protocols import Completion, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.stats.estimate import Estimate

Rule = Callable[[str, str], str | None]


class Judge:
    """Answers by a rule on the two texts."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.asked: list[str] = []

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        found = []
        for messages in prompts:
            self.asked.append(messages[-1].content)
            first, second = messages[-1].content.split("\n\nText A:\n")[1].split("\n\nText B:\n")
            text = self.rule(first, second)
            found.append(Completion(text, 0, 0, text is not None))
        return found


def judged(rule: Rule, pairs: list[Pair]) -> Judgement:
    return judge(Judge(rule), pairs, lambda *_: None)


def by_number(first: str, second: str) -> str:
    """A judge of content: the higher number wins, a text without one loses."""
    a, b = (int("".join(filter(str.isdigit, text)) or -1) for text in (first, second))
    return "They are equal.\nTIE" if a == b else f"Verdict: {'A' if a > b else 'B'}"


PAIRS = [Pair(f"request {k}", f"answer {k % 3 + 1}", "answer 2") for k in range(30)]


def test_a_fair_judge() -> None:
    found = judged(by_number, PAIRS)
    assert found.scores == tuple((0.0, 0.5, 1.0)[k % 3] for k in range(30))
    assert found.preference.value == pytest.approx(0.5) and found.preference.n == 30
    assert found.consistent.value == found.same_text.value == 1.0 and found.first_wins.value == 0.5
    assert found.constant.value == 0.0 and found.length_ratio == 1.0 and found.warnings == ()


def test_a_judge_that_prefers_the_first_text_decides_nothing_and_is_found() -> None:
    found = judged(lambda first, second: "A", PAIRS)
    assert set(found.scores) == {0.5} and found.first_wins.value == 1.0 and found.consistent.value == 0.0
    assert found.same_text.value == 0.0 and found.same_text_first_wins.value == 1.0
    assert [warning.split(":")[0] for warning in found.warnings[:2]] == ["position bias", "position bias"]


def test_a_judge_that_falls_for_an_empty_phrase_is_found() -> None:
    found = judged(lambda first, second: "A" if first == CONSTANT else "B" if second == CONSTANT else "TIE", PAIRS)
    assert found.constant.value == 1.0 and any("an empty phrase is preferred" in warning for warning in found.warnings)


def test_an_unreadable_verdict_or_none_is_not_measured() -> None:
    found = judged(lambda first, second: None if "answer 1" in first else "I like both" if "answer 3" in first else "TIE", PAIRS)
    assert found.not_measured == 20 and found.preference.n == 10 and found.preference.value == 0.5
    assert any("20 of 30 pairs without a readable verdict" in warning for warning in found.warnings)


def test_both_orders_and_both_controls_are_asked() -> None:
    fake = Judge(by_number)
    judge(fake, PAIRS[:1], lambda *_: None)
    shown = [tuple(text.split("\n\nText A:\n")[1].split("\n\nText B:\n")) for text in fake.asked]
    mine, theirs = PAIRS[0].a, PAIRS[0].b
    assert shown == [(mine, theirs), (theirs, mine), (theirs, theirs), (theirs, theirs), (CONSTANT, theirs), (theirs, CONSTANT)]


def test_no_pairs_are_no_number() -> None:
    found = judged(by_number, [])
    assert found.preference.value is None and found.length_ratio is None and found.warnings == ()


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("A", "A"), ("so\n\n**B**.\n", "B"), ("tie", "TIE"), ("Answer: (A)", "A"), ("A is better", None), ("A or B", None), ("", None)],
)
def test_reading_a_verdict(text: str, verdict: str | None) -> None:
    assert read_verdict(text) == verdict


def judgement_of(scores: Sequence[float | None]) -> Judgement:
    nothing = Estimate(None, None, None, 0, 0.95, "by hand")
    return Judgement(tuple(scores), nothing, nothing, nothing, None, nothing, nothing, nothing)


def test_people_correct_the_judges_bias() -> None:
    # by hand: the judge's mean is 0.75, people say 0.5 where it says 0.75 on average
    judgement = judgement_of([1.0, 0.5] * 100)
    found = corrected(judgement, {place: (1.0, 0.0)[place % 2] for place in range(40)})
    half = 1.959964 * np.sqrt(np.var([1, 0.5] * 100, ddof=1) / 200 + np.var([0, -0.5] * 20, ddof=1) / 40)
    assert found.value == pytest.approx(0.5) and found.n == 40
    assert found.low == pytest.approx(0.5 - half) and found.high == pytest.approx(0.5 + half)
    assert corrected(judgement, {place: 1.0 for place in range(19)}).value is None
    alike = corrected(judgement_of([1.0] * 100), {place: 1.0 for place in range(100)})
    assert alike.value == 1.0 and alike.low == pytest.approx(0.05 ** (1 / 100))  # never of zero width


def test_the_corrected_interval_covers_what_people_would_say() -> None:
    draw, hits = np.random.default_rng(0), 0
    for _ in range(400):
        people = (draw.random(300) < 0.45).astype(float)
        judge_says = np.where(draw.random(300) < 0.3, 1.0, people)  # it likes the candidate too much
        found = corrected(judgement_of(judge_says.tolist()), {place: float(people[place]) for place in range(60)})
        hits += found.low is not None and found.high is not None and found.low <= 0.45 <= found.high
    assert 0.92 <= hits / 400 <= 1.0  # 95 % nominal; 0.92 is three standard errors below
