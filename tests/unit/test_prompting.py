"""Prompts on the base model: shots from training rows only, within the room, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provetune.models.tokenizer import FolderTokenizer
from provetune.prompting import STRATEGIES, PromptRequest, instruction
from provetune.records.candidate import Prompt
from provetune.records.data import Message
from tests.unit.records_by_hand import LABELS, examples_of

TRAIN = examples_of([LABELS[k % 3] for k in range(60)])


@pytest.fixture
def request_(tiny_tokenizer: FolderTokenizer) -> PromptRequest:
    return PromptRequest(task="classify", labels=LABELS, system=None, train=TRAIN, tokenizer=tiny_tokenizer, room=2000)


def tokens(prompt: Prompt, tokenizer: FolderTokenizer) -> int:
    turns = [Message(role="system", content=prompt.system or ""), *(turn for shot in prompt.shots for turn in shot)]
    return len(tokenizer.encode(tokenizer.render(turns, open_turn=False)))


def test_the_instruction_lists_every_label_on_a_line(request_: PromptRequest) -> None:
    lines = instruction(request_).splitlines()
    assert lines[-3:] == ["- billing", "- delivery", "- refund"]
    assert "exactly one of these labels" in lines[1]


def test_the_users_own_words_come_first(request_: PromptRequest) -> None:
    own = replace(request_, system="You route tickets.")
    assert instruction(own).startswith("You route tickets.\n") and "- refund" in instruction(own)
    for task in ("extract", "generate", "chat"):
        assert instruction(replace(own, task=task)) == "You route tickets."
        assert instruction(replace(request_, task=task, labels=()))


def test_zero_shot_has_no_shots(request_: PromptRequest) -> None:
    found = STRATEGIES["zero-shot"](request_)
    assert (found.strategy, found.shots, found.shot_ids, found.system) == ("zero-shot", (), (), instruction(request_))


@pytest.mark.parametrize("shots", [1, 3, 8])
def test_shots_are_different_training_rows(request_: PromptRequest, shots: int) -> None:
    found = STRATEGIES["few-shot"](replace(request_, shots=shots))
    rows = {example.id: example for example in TRAIN}
    assert len(found.shot_ids) == len(set(found.shot_ids)) == len(found.shots) == shots
    for key, (asked, answered) in zip(found.shot_ids, found.shots, strict=True):
        assert (asked.role, asked.content) == ("user", rows[key].prompt_text)
        assert (answered.role, answered.content) == ("assistant", rows[key].target)


def test_every_label_is_shown_before_one_is_shown_twice(request_: PromptRequest) -> None:
    answers = [answer.content for _, answer in STRATEGIES["few-shot"](replace(request_, shots=3)).shots]
    assert sorted(answers) == list(LABELS)


def test_the_draw_is_a_function_of_the_seed(request_: PromptRequest) -> None:
    draws = {seed: STRATEGIES["few-shot"](replace(request_, seed=seed)) for seed in range(4)}
    assert all(STRATEGIES["few-shot"](replace(request_, seed=seed)) == found for seed, found in draws.items())
    assert len({found.shot_ids for found in draws.values()}) > 1


def test_as_many_shots_as_fit_the_room(request_: PromptRequest, tiny_tokenizer: FolderTokenizer) -> None:
    whole = STRATEGIES["few-shot"](request_)
    room = tokens(whole, tiny_tokenizer) - 1
    cut = STRATEGIES["few-shot"](replace(request_, room=room))
    assert tokens(cut, tiny_tokenizer) <= room and cut.shot_ids == whole.shot_ids[:-1]


def test_no_shots_where_nothing_fits(request_: PromptRequest) -> None:
    found = STRATEGIES["few-shot"](replace(request_, room=10))
    assert (found.strategy, found.shots, found.shot_ids, found.system) == ("few-shot", (), (), instruction(request_))


def test_fewer_training_rows_than_shots(request_: PromptRequest) -> None:
    found = STRATEGIES["few-shot"](replace(request_, train=TRAIN[:2]))
    assert sorted(found.shot_ids) == ["r0", "r1"]


def test_no_training_rows_no_shots(request_: PromptRequest) -> None:
    assert STRATEGIES["few-shot"](replace(request_, train=())).shots == ()


def test_rows_without_labels_can_be_shots(request_: PromptRequest) -> None:
    rows = [row.model_copy(update={"label": None}) for row in TRAIN]
    found = STRATEGIES["few-shot"](replace(request_, task="generate", labels=(), train=rows, shots=4))
    assert len(set(found.shot_ids)) == 4
