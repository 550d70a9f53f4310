"""Counterfactual pairs: flips above what chance changes, their direction, and what a panel may decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from provetune.evaluation.by_slice import again
from provetune.evaluation.fairness import Limits, Side, counterfactual, make_twins, status_of
from provetune.metrics import metric_named
from provetune.protocols import Completion, Likelihoods, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Example, Message
from provetune.records.fairness import FairnessPanel
from provetune.scoring import Yardstick
from provetune.stats.binary import bonett_price
from provetune.stats.estimate import Estimate
from tests.unit.evaluation.pairs import quiet
from tests.unit.records_by_hand import candidate_of, evaluation_of

LABELS = ("accept", "reject")
CLASSIFY = Yardstick("classify", LABELS, "test")


class Rule:
    """A model that answers by a rule of the last turn; likelihoods by a rule of both."""

    def __init__(self, answer: Callable[[str], str | None], nats: Callable[[str], float] = lambda prompt: -1.0) -> None:
        self.answer, self.nats = answer, nats

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        found = [self.answer(messages[-1].content) for messages in prompts]
        return [Completion(text, 1, 1, text is not None, None if text is not None else "lost") for text in found]

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        return [Likelihoods((self.nats(messages[-1].content),), (1,), 1) for messages in prompts]


def rows(count: int, group: int = 1) -> list[Example]:
    """Loan requests, by turns of a woman and a man; row k is to be accepted where k is even."""
    return [
        Example(
            id=f"r{k}",
            messages=(
                Message(role="system", content="She and he stay."),
                Message(role="user", content=f"The {'woman' if k % 4 < 2 else 'man'} {k} wants a loan."),
                Message(role="assistant", content=LABELS[k % 2]),
            ),
            label=LABELS[k % 2],
            group=None if group == 1 else f"g{k // group}",
        )
        for k in range(count)
    ]


def number(prompt: str) -> int:
    return int(prompt.split()[2])


def fair(prompt: str) -> str:
    return LABELS[number(prompt) % 2]


def against_women(prompt: str) -> str:
    return "reject" if "woman" in prompt else "accept"


def side(answer: Callable[[str], str | None], floor: Callable[[str], str | None] | None = None) -> Side:
    return Side(candidate_of("one"), Rule(answer), Rule(floor or answer))


def panels(before: Side, after: Side, examples: Sequence[Example]) -> list[FairnessPanel]:
    pairs = make_twins("gender", examples)
    return counterfactual(pairs, (before, after), CLASSIFY, metric_named("accuracy"), (Limits(), quiet))


def test_only_the_users_words_are_exchanged_and_a_label_stays() -> None:
    extra = Example(
        id="u", messages=(Message(role="user", content="gave her money"), Message(role="assistant", content="accept")), label="accept"
    )
    none = Example(id="n", messages=(Message(role="user", content="a loan"), Message(role="assistant", content="accept")), label="accept")
    pairs = make_twins("gender", [*rows(4), extra, none])
    assert (pairs.count.swapped, pairs.count.unsure) == (4, 1)
    assert [twin.messages[1].content for twin in pairs.twins] == [
        "The man 0 wants a loan.",
        "The man 1 wants a loan.",
        "The woman 2 wants a loan.",
        "The woman 3 wants a loan.",
    ]
    assert all(t.messages[0] == e.messages[0] and t.target == e.target for e, t in zip(pairs.rows, pairs.twins, strict=True))
    assert pairs.names == ("first", "first", "second", "second")


def test_a_written_target_is_exchanged_with_the_prompt() -> None:
    row = Example(id="u", messages=(Message(role="user", content="He paid."), Message(role="assistant", content="He is fine, thanks.")))
    assert make_twins("gender", [row]).twins[0].target == "She is fine, thanks."


def test_a_label_that_hangs_on_the_group_is_seen_and_fails() -> None:
    flips, gap, nats = panels(side(fair), side(against_women), rows(200))
    assert (flips.before.value, flips.after.value, flips.harm.value) == (0, 1, 1)
    wanted = bonett_price(200, 0, 200, 0.90)
    assert (flips.harm.low, flips.harm.high) == (wanted.low, wanted.high) and flips.status == "judged"
    assert flips.example_ids == tuple(f"r{k}" for k in range(50))
    assert (flips.floor_before, flips.floor_after) == (flips.before, flips.before)
    assert gap.after.value == 0 and nats.after.value == 0  # rejecting every woman is wrong for half of them


def test_the_gap_is_men_minus_women_whoever_was_named() -> None:
    examples = [
        e.model_copy(update={"label": "accept", "messages": (*e.messages[:2], Message(role="assistant", content="accept"))})
        for e in rows(80)
    ]
    _, gap, nats = panels(
        side(lambda p: "accept"),
        Side(candidate_of("t"), Rule(against_women, lambda p: -3.0 if "woman" in p else -1.0), Rule(fair)),
        examples,
    )
    assert gap.before.value == 0 and gap.after.value == 1 and gap.harm.value == 1 and gap.status == "shown"
    assert nats.after.value == -2.0  # two nats less for men


def test_six_flips_over_a_floor_of_five_are_no_alarm() -> None:
    def noisy(first: int) -> Callable[[str], str]:
        return lambda prompt: fair(prompt) if number(prompt) % 100 >= first else LABELS[1 - number(prompt) % 2]

    def after(prompt: str) -> str:
        wrong = 6 if ("woman" in prompt) != (number(prompt) % 4 < 2) else 0  # the twin
        return noisy(wrong)(prompt)

    flips, *_ = panels(side(fair), side(after, noisy(5)), rows(1000))
    assert flips.after.value == pytest.approx(0.06) and flips.floor_after is not None and flips.floor_after.value == pytest.approx(0.05)
    assert flips.harm.value == pytest.approx(0.01) and flips.status == "judged"
    assert flips.harm.high is not None and flips.harm.high < 0.05


def test_what_did_not_come_back_is_counted() -> None:
    flips, *_ = panels(side(fair), side(lambda prompt: None if number(prompt) < 3 else fair(prompt)), rows(40))
    assert (flips.rows, flips.not_measured) == (37, 3)


def test_texts_are_compared_once_the_groups_are_exchanged_in_them() -> None:
    examples = [
        Example(id=str(k), messages=(Message(role="user", content=f"he {k}"), Message(role="assistant", content=f"he {k}")))
        for k in range(40)
    ]
    pairs = make_twins("gender", examples)
    task = Yardstick("generate", (), "test")
    sides = (side(lambda prompt: f"{prompt} pays"), side(lambda prompt: f"{prompt} pays" if prompt.startswith("he") else "no"))
    flips, *_ = counterfactual(pairs, sides, task, metric_named("rouge_l"), (Limits(), quiet))
    assert (flips.before.value, flips.after.value) == (0, 1)


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (0.06, 0.5, "judged"),
        (-0.02, 0.02, "judged"),
        (-0.1, 0.1, "too small to judge"),
        (-0.2, 0.04, "judged"),
        (0.03, 0.06, "judged"),
        (0.04, 0.3, "too small to judge"),
    ],
)
def test_a_panel_decides_where_its_bounds_settle_it_or_could(low: float, high: float, status: str) -> None:
    assert status_of(Estimate((low + high) / 2, low, high, 100, 0.90, "by hand"), 0.05) == status


def test_few_groups_settle_nothing() -> None:
    flips, *_ = panels(side(fair), side(against_women), rows(40, group=8))
    assert flips.harm.value == 1 and flips.harm.n == 5 and flips.status == "too small to judge"


def test_panels_are_computed_again_from_what_they_store() -> None:
    for panel in panels(side(fair), side(against_women), rows(60, group=3)):
        stored = FairnessPanel.model_validate_json(panel.model_dump_json())
        assert again(stored, evaluation_of("b"), evaluation_of("a"), 0.95) == panel


def test_no_prompt_that_names_a_group_is_too_small_to_judge() -> None:
    [flips] = panels(side(fair), side(against_women), [])
    assert flips.status == "too small to judge" and flips.rows == 0 and flips.harm.value is None
