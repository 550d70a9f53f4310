"""Loss on changed requests, answers to requests that are not for the model, the spread over wordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from provetune.evaluation.robustness import Asked, drop, out_of_scope, reworded, sensitivity, with_change
from provetune.protocols import Completion, Progress
from provetune.records.candidate import GenerationSettings, Prompt
from provetune.records.data import Example, Message
from provetune.scoring import Yardstick
from provetune.stats.binary import paired_shares
from tests.unit.evaluation.pairs import quiet
from tests.unit.records_by_hand import candidate_of

LABELS = ("accept", "reject")


class Rule:
    """Answers by a rule of all turns; keeps the settings it was asked with."""

    def __init__(self, answer: Callable[[Sequence[Message]], str | None]) -> None:
        self.answer = answer
        self.settings: list[GenerationSettings] = []

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        self.settings.append(settings)
        found = [self.answer(messages) for messages in prompts]
        return [Completion(text, 1, 1, text is None or not text.endswith("..."), None if text is not None else "lost") for text in found]


def rows(count: int) -> list[Example]:
    return [
        Example(
            id=f"r{k}",
            messages=(Message(role="user", content=f"request {k}"), Message(role="assistant", content=LABELS[k % 2])),
            label=LABELS[k % 2],
        )
        for k in range(count)
    ]


def asked(answer: Callable[[Sequence[Message]], str | None]) -> Asked:
    candidate = candidate_of("tuned").model_copy(update={"generation": GenerationSettings(choices=LABELS)})
    return Asked(candidate, Rule(answer), Yardstick("classify", LABELS, "test"), "accuracy", quiet)


def number(text: str) -> int:
    return int("".join(letter for letter in text if letter.isdigit()))


def right(messages: Sequence[Message]) -> str:
    return LABELS[number(messages[-1].content) % 2]


def test_the_loss_is_paired() -> None:
    def lost_in_capitals(messages: Sequence[Message]) -> str | None:
        text = messages[-1].content
        if text.isupper() and number(text) < 10:
            return None if number(text) == 0 else LABELS[1 - number(text) % 2]
        return right(messages)

    one = asked(lost_in_capitals)
    examples = [
        *rows(100),
        Example(id="n", messages=(Message(role="user", content="7"), Message(role="assistant", content="reject")), label="reject"),
    ]
    pairs = with_change(examples, "case")
    found = drop(one, "case", pairs, len(examples))
    wanted = paired_shares(9, 0, 99, 0.95)
    assert (found.rows, found.unchanged, found.not_measured) == (99, 1, 1)
    assert found.clean.value == 1 and found.after.value == pytest.approx(90 / 99)
    assert (found.drop.value, found.drop.low, found.drop.high) == (wanted.value, wanted.low, wanted.high)


def test_only_the_last_words_of_the_user_change() -> None:
    turns = [
        Message(role=role, content=text) for role, text in (("user", "One"), ("assistant", "Two"), ("user", "Three"), ("assistant", "Four"))
    ]
    [(_, other)] = with_change([Example(id="a", messages=tuple(turns))], "case")
    assert [m.content for m in other.messages] == ["One", "Two", "three", "Four"]


def test_a_rewording_must_be_whole_and_keep_the_numbers() -> None:
    said = {0: "the 0th request", 1: "a request", 2: "the 2nd request...", 3: "request 3", 4: ""}
    writer = Rule(lambda messages: said.get(number(messages[-1].content)))
    assert [other.prompt_text for _, other in reworded(rows(6), writer, quiet)] == ["the 0th request"]


def test_a_change_that_concerns_no_row_measures_nothing() -> None:
    found = drop(asked(right), "paraphrase", [], 40)
    assert found.drop.value is None and (found.rows, found.unchanged) == (0, 40)


def test_out_of_scope_is_asked_freely() -> None:
    said = {"a": "accept", "b": "I don't know.", "c": "maybe", "d": ""}
    one = asked(lambda messages: said.get(messages[-1].content))
    found = out_of_scope(one, ["a", "b", "c", "d", "e"], "Sort it.")
    assert isinstance(one.generator, Rule) and one.generator.settings[0].choices == ()
    assert (found.answered.value, found.abstained.value, found.answered.n, found.not_measured) == (0.25, 0.5, 4, 1)
    texts = Asked(one.candidate, one.generator, Yardstick("generate", (), "test"), "rouge_l", quiet)
    assert out_of_scope(texts, ["a", "b", "c", "d"], None).answered.value == 0.5


def test_the_spread_is_best_minus_worst_on_the_same_rows() -> None:
    one = asked(lambda messages: right(messages) if messages[0].content == "good" else "accept")
    found = sensitivity(one, [Prompt(strategy="zero-shot", system=text) for text in ("bad", "good", "worse")], rows(50))
    assert [score.value for score in found.scores] == [0.5, 1.0, 0.5] and found.spread.value == 0.5
    assert sensitivity(one, [], rows(5)).spread.value is None
