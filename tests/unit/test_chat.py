"""From messages to tokens: what is trained is what is served, and the loss is taken on the assistant's words only."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.chat import TokenRow, answer_of, encode_prompt, encode_training, encode_training_rows, prompt_messages, template_fingerprint
from provetune.errors import DataError, ModelError
from provetune.models.tokenizer import FolderTokenizer
from provetune.records.candidate import Prompt
from provetune.records.data import Example, Message, Role
from tests.models import TEMPLATE, byte_tokenizer, random_rows, save_folder

BEGIN = 1
# a template which, like Qwen3's, drops the thinking of every assistant turn but the last
FORGETS = TEMPLATE.replace(
    "{{ message['content'] }}{{ eos_token }}{% endgeneration %}",
    "{{ message['content'] if loop.last else message['content'].split('</think>')[-1] }}{{ eos_token }}{% endgeneration %}",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: "<|" not in text)


def turn(role: Role, content: str, weight: int = 1) -> Message:
    return Message.model_validate({"role": role, "content": content, "weight": weight})


TALK = (
    turn("system", "Be brief."),
    turn("user", "Hello  there\n1234"),
    turn("assistant", "Hi."),
    turn("user", "Où est déjà vu? 你好"),
    turn("assistant", "Ici."),
)


def labelled_runs(row: TokenRow) -> list[list[int]]:
    """Ids of each unbroken run of labelled tokens."""
    runs: list[list[int]] = [[]]
    for token, label in zip(row.ids.tolist(), row.labelled.tolist(), strict=True):
        if label:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


@pytest.fixture(params=["starter", "bytes"])
def tokenizer(request: pytest.FixtureRequest, starter_tokenizer: FolderTokenizer, tiny_tokenizer: FolderTokenizer) -> FolderTokenizer:
    return starter_tokenizer if request.param == "starter" else tiny_tokenizer


def test_the_prompt_as_served_begins_the_row_as_trained(tokenizer: FolderTokenizer) -> None:
    ids = encode_training(TALK, tokenizer).ids.tolist()
    for end in (2, 4):
        prompt = encode_prompt(TALK[:end], tokenizer)
        assert ids[: len(prompt)] == prompt and len(prompt) < len(ids)


def test_the_labels_are_the_assistants_words_and_a_stop_token(tokenizer: FolderTokenizer) -> None:
    runs = labelled_runs(encode_training(TALK, tokenizer))
    assert [tokenizer.decode(run[:-1]) for run in runs] == ["Hi.", "Ici."]
    assert all(run[-1] in tokenizer.stop_ids for run in runs)


@given(user=TEXT, answer=TEXT)
def test_any_text_is_trained_as_it_is_served(starter_tokenizer: FolderTokenizer, user: str, answer: str) -> None:
    messages = (turn("user", user), turn("assistant", answer))
    row = encode_training(messages, starter_tokenizer)
    prompt = encode_prompt(messages[:1], starter_tokenizer)
    assert row.ids[: len(prompt)].tolist() == prompt and not row.labelled[: len(prompt)].any()
    [run] = labelled_runs(row)
    assert starter_tokenizer.decode(run[:-1]) == answer and run[-1] in starter_tokenizer.stop_ids
    assert row.label_count == len(run)


def test_a_turn_of_weight_0_is_not_trained_on(tokenizer: FolderTokenizer) -> None:
    messages = (*TALK[:2], turn("assistant", "Hi.", 0), *TALK[3:])
    row = encode_training(messages, tokenizer)
    assert row.ids.tolist() == encode_training(TALK, tokenizer).ids.tolist()
    assert [tokenizer.decode(run[:-1]) for run in labelled_runs(row)] == ["Ici."]


def test_a_row_without_anything_to_train_on_is_refused(tiny_tokenizer: FolderTokenizer) -> None:
    for messages in ((turn("user", "Hello"),), (turn("user", "Hello"), turn("assistant", "Hi.", 0))):
        with pytest.raises(DataError, match=r"rows\.csv:7: no assistant turn to train on"):
            encode_training(messages, tiny_tokenizer, "rows.csv:7")


def test_many_rows_at_once_are_the_rows_one_by_one(tokenizer: FolderTokenizer) -> None:
    unlearned = tuple(m.model_copy(update={"weight": 0}) for m in TALK)
    talks = [TALK, TALK[:3], unlearned, (turn("user", "1 + 1 = ?"), turn("assistant", "２ 👍"))]
    together = encode_training_rows([Example(id=str(place), messages=talk, source="f:1") for place, talk in enumerate(talks)], tokenizer)
    for talk, found in zip(talks, together, strict=True):
        if talk is unlearned:
            with pytest.raises(DataError) as alone:
                encode_training(talk, tokenizer, "f:1")
            assert isinstance(found, DataError) and str(found) == str(alone.value)
        else:
            assert isinstance(found, TokenRow)
            row = encode_training(talk, tokenizer)
            assert found.ids.tolist() == row.ids.tolist() and found.labelled.tolist() == row.labelled.tolist()
    assert encode_training_rows([], tokenizer) == []


def test_a_template_that_rewrites_earlier_turns_is_refused(tmp_path: Path) -> None:
    tokenizer = FolderTokenizer(save_folder(tmp_path / "forgets", tokenizer=byte_tokenizer(FORGETS)))
    thinking = turn("assistant", "<think>hm</think>Hi.")
    assert encode_training((*TALK[:2], thinking), tokenizer).label_count > 0
    with pytest.raises(ModelError, match=r"rows\.csv:3: the chat template rewrites earlier turns once turn 5 is there"):
        encode_training((*TALK[:2], thinking, *TALK[3:]), tokenizer, "rows.csv:3")


def test_a_template_that_refuses_the_roles_is_a_model_error(tmp_path: Path) -> None:
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system line') }}{% endif %}" + TEMPLATE
    tokenizer = FolderTokenizer(save_folder(tmp_path / "refuses", tokenizer=byte_tokenizer(refuses)))
    with pytest.raises(ModelError, match=r"refuses the turns \(system, user\): no system line"):
        encode_prompt(TALK[:2], tokenizer)


def test_there_is_one_begin_token_whatever_the_tokenizer_adds(tmp_path: Path) -> None:
    tokenizer = FolderTokenizer(save_folder(tmp_path / "begins", tokenizer=byte_tokenizer(adds_begin=True)))
    assert byte_tokenizer(adds_begin=True)("Hello")["input_ids"][0] == BEGIN  # it would add one by itself
    assert encode_prompt(TALK[:2], tokenizer).count(BEGIN) == 1
    assert encode_training(TALK, tokenizer).ids.tolist().count(BEGIN) == 1


class TestPromptMessages:
    example = Example(id="r1", messages=(turn("system", "Own line."), turn("user", "Hello"), turn("assistant", "Hi.")))

    def test_the_target_is_never_sent(self) -> None:
        assert prompt_messages(Prompt(strategy="plain"), self.example) == self.example.messages[:2]

    def test_the_prompts_system_line_stands_below_the_rows_own(self) -> None:
        sent = prompt_messages(Prompt(strategy="zero-shot", system="New line."), self.example)
        assert sent == (turn("system", "Own line.\n\nNew line."), turn("user", "Hello"))

    def test_shots_stand_between_system_line_and_turns(self) -> None:
        shot = (turn("user", "Bye"), turn("assistant", "See you."))
        sent = prompt_messages(Prompt(strategy="few-shot", shots=(shot,)), self.example)
        assert sent == (turn("system", "Own line."), *shot, turn("user", "Hello"))

    def test_no_system_line_is_made_up(self) -> None:
        bare = self.example.model_copy(update={"messages": self.example.messages[1:]})
        assert prompt_messages(Prompt(strategy="plain"), bare) == (turn("user", "Hello"),)


def test_the_fingerprint_follows_the_template(tmp_path: Path, tiny_tokenizer: FolderTokenizer) -> None:
    prints = {template_fingerprint(tiny_tokenizer)}
    for number, template in enumerate((TEMPLATE, TEMPLATE.replace("'|>' }}", "'|>\\n' }}"), FORGETS)):
        tokenizer = FolderTokenizer(save_folder(tmp_path / str(number), tokenizer=byte_tokenizer(template)))
        prints.add(template_fingerprint(tokenizer))
    # equal templates agree; FORGETS renders the probe as TEMPLATE does, since the probe has no thinking in it
    assert len(prints) == 2


def test_a_row_has_one_label_per_token() -> None:
    [row] = random_rows([5])
    with pytest.raises(ValueError, match="differ in shape"):
        TokenRow(row.ids, row.labelled[:-1])


def test_the_first_token_is_never_counted_as_a_label() -> None:
    [row] = random_rows([3])
    row.labelled[:] = True
    assert row.label_count == 2 and len(row) == 3


def test_the_tools_of_the_example_are_sent_whatever_the_prompt_brings() -> None:
    shot = (turn("user", "a").model_copy(update={"tools": ("other",)}), turn("assistant", "b"))
    example = Example(id="1", messages=(turn("user", "c").model_copy(update={"tools": ("own",)}), turn("assistant", "d")))
    sent = prompt_messages(Prompt(strategy="few-shot", system="s", shots=(shot,)), example)
    assert [message.tools for message in sent] == [("own",), (), (), ()]
    assert all(
        not m.tools for m in prompt_messages(Prompt(strategy="few-shot", shots=(shot,)), example.model_copy(update={"messages": TALK}))
    )


def test_the_answer_stands_behind_the_last_marker() -> None:
    prompt = Prompt(strategy="chain-of-thought", answer_marker="Answer:")
    said = "Answer: a refund, at first sight. But the parcel is late.\nanswer: **delivery**\nThank you."
    assert answer_of(prompt, said, one_line=True) == "delivery"
    assert answer_of(prompt, "A refund.") is None and answer_of(Prompt(strategy="zero-shot"), said) == said
