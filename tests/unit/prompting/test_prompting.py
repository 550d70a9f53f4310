"""Prompts on the base model: shots from training rows only, within the room, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provetune.chat import prompt_messages
from provetune.errors import SpecError
from provetune.models.tokenizer import FolderTokenizer
from provetune.prompting import PromptRequest, instruction, prompt_of
from provetune.records.candidate import Prompt
from provetune.records.data import Message
from tests.unit.records_by_hand import LABELS, examples_of

TRAIN = examples_of([LABELS[k % 3] for k in range(60)])


@pytest.fixture
def request_(tiny_tokenizer: FolderTokenizer) -> PromptRequest:
    return PromptRequest(task="classify", labels=LABELS, train=TRAIN, tokenizer=tiny_tokenizer, room=2000)


def tokens(prompt: Prompt, tokenizer: FolderTokenizer) -> int:
    turns = [Message(role="system", content=prompt.system or ""), *(turn for shot in prompt.shots for turn in shot)]
    return len(tokenizer.encode(tokenizer.render(turns, open_turn=False)))


def test_the_instruction_lists_every_label(request_: PromptRequest) -> None:
    assert instruction(request_).endswith("exactly one of these labels and nothing else: billing, delivery, refund")
    for task in ("extract", "generate", "chat"):
        assert instruction(replace(request_, task=task, labels=()))


def test_a_prompt_keeps_every_word_that_the_tuned_model_sees(request_: PromptRequest) -> None:
    own = TRAIN[0].model_copy(update={"messages": (Message(role="system", content="You route tickets."), *TRAIN[0].messages)})
    for name in ("zero-shot", "few-shot"):
        sent = prompt_messages(prompt_of(name, request_), own)
        assert sent[0].role == "system" and sent[0].content.startswith("You route tickets.\n") and "refund" in sent[0].content
        assert sent[-1] == own.prompt_messages[-1]


def test_zero_shot_has_no_shots(request_: PromptRequest) -> None:
    found = prompt_of("zero-shot", request_)
    assert (found.strategy, found.shots, found.shot_ids, found.system) == ("zero-shot", (), (), instruction(request_))


@pytest.mark.parametrize("shots", [1, 3, 8])
def test_shots_are_different_training_rows(request_: PromptRequest, shots: int) -> None:
    found = prompt_of("few-shot", replace(request_, shots=shots))
    rows = {example.id: example for example in TRAIN}
    assert len(found.shot_ids) == len(set(found.shot_ids)) == len(found.shots) == shots
    for key, (asked, answered) in zip(found.shot_ids, found.shots, strict=True):
        assert (asked.role, asked.content) == ("user", rows[key].prompt_text)
        assert (answered.role, answered.content) == ("assistant", rows[key].target)


def test_every_label_is_shown_before_one_is_shown_twice(request_: PromptRequest) -> None:
    answers = [answer.content for _, answer in prompt_of("few-shot", replace(request_, shots=3)).shots]
    assert sorted(answers) == list(LABELS)


def test_the_draw_is_a_function_of_the_seed(request_: PromptRequest) -> None:
    draws = {seed: prompt_of("few-shot", replace(request_, seed=seed)) for seed in range(4)}
    assert all(prompt_of("few-shot", replace(request_, seed=seed)) == found for seed, found in draws.items())
    assert len({found.shot_ids for found in draws.values()}) > 1


def test_as_many_shots_as_fit_the_room(request_: PromptRequest, tiny_tokenizer: FolderTokenizer) -> None:
    whole = prompt_of("few-shot", request_)
    room = tokens(whole, tiny_tokenizer) - 1
    cut = prompt_of("few-shot", replace(request_, room=room))
    assert tokens(cut, tiny_tokenizer) <= room and len(cut.shot_ids) == len(whole.shot_ids) - 1
    assert set(cut.shot_ids) < set(whole.shot_ids), "the longest shot goes first"


def test_few_shot_without_a_shot_is_refused(request_: PromptRequest) -> None:
    with pytest.raises(SpecError, match=r"found room for 0 of 8 shots \(10 tokens .* longer context"):
        prompt_of("few-shot", replace(request_, room=10))


def test_fewer_training_rows_than_shots(request_: PromptRequest) -> None:
    found = prompt_of("few-shot", replace(request_, train=TRAIN[:2]))
    assert sorted(found.shot_ids) == ["r0", "r1"]


def test_no_training_rows_no_few_shot(request_: PromptRequest) -> None:
    with pytest.raises(SpecError, match="0 of 0 shots"):
        prompt_of("few-shot", replace(request_, train=()))


def test_rows_without_labels_can_be_shots(request_: PromptRequest) -> None:
    rows = [row.model_copy(update={"label": None}) for row in TRAIN]
    found = prompt_of("few-shot", replace(request_, task="generate", labels=(), train=rows, shots=4))
    assert len(set(found.shot_ids)) == 4
