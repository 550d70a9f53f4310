"""The tokenizer of a model folder: stop tokens off the template, clear errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from provetune.chat import encode_training
from provetune.errors import ModelError
from provetune.hashing import folder_sha256
from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.records.data import Message, ToolCall
from tests.models import TEMPLATE, byte_tokenizer, save_folder, tiny_llama

TURN_END = "<end_of_turn>"
ENDS_OTHERWISE = TEMPLATE.replace("{{ eos_token }}", "{{ '" + TURN_END + "' }}{{ '\\n' }}")


def test_the_starter_stops_at_its_end_token(starter_tokenizer: FolderTokenizer) -> None:
    assert [starter_tokenizer._tokenizer.convert_ids_to_tokens(i) for i in starter_tokenizer.stop_ids] == ["<|end|>"]
    assert starter_tokenizer.context_length == 1024


def test_a_turn_end_other_than_eos_is_a_stop_token_too(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(ENDS_OTHERWISE, [TURN_END])
    found = FolderTokenizer(save_folder(tmp_path / "gemma", tiny_llama(vocab_size=263), tokenizer))
    assert found.stop_ids == {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(TURN_END)}


def test_plain_text_after_a_turn_is_no_stop_token(tmp_path: Path) -> None:
    found = FolderTokenizer(
        save_folder(tmp_path / "plain", tokenizer=byte_tokenizer(TEMPLATE.replace("{{ eos_token }}", "{{ '\\n\\n' }}")))
    )
    assert found.stop_ids == {2}


def test_special_tokens_are_left_out_of_decoded_text(tiny_tokenizer: FolderTokenizer) -> None:
    assert tiny_tokenizer.decode(tiny_tokenizer.encode("<|begin|><|user|>déjà 你<|end|>")) == "déjà 你"


def test_no_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no chat template; use an instruction-tuned model"):
        FolderTokenizer(save_folder(tmp_path / "base", tokenizer=byte_tokenizer(None)))


def test_no_tokenizer_is_refused(tmp_path: Path) -> None:
    tiny_llama().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no tokenizer could be loaded"):
        FolderTokenizer(tmp_path)


def test_nothing_to_stop_at_is_refused(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(TEMPLATE.replace("{{ eos_token }}", "{{ '\\n' }}"))
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="nothing could stop"):
        FolderTokenizer(save_folder(tmp_path / "endless", tokenizer=tokenizer))


TOOL = '{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}'
ASKS = Message(role="user", content="How warm is it?", tools=(TOOL,))
CALLS = Message(
    role="assistant", content="", tool_calls=(ToolCall(name="get_weather", arguments='{"city": "Köln \\"am\\" Rhein", "n": 2}', id="c1"),)
)
RESULT = Message(role="tool", content='{"celsius": 7}', name="get_weather", tool_call_id="c1")
TALK = (ASKS, CALLS, RESULT, Message(role="assistant", content="Seven degrees."))
# renders what the starter's template leaves out
WITH_TOOLS = "{% if tools %}<|system|>{{ tools | tojson }}{{ eos_token }}{% endif %}" + TEMPLATE.replace(
    "{{ message['content'] }}{{ eos_token }}{% endgeneration %}",
    "{{ message['content'] }}{% for call in message.tool_calls or [] %}"
    "<tool_call>{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}</tool_call>{% endfor %}"
    "{{ eos_token }}{% endgeneration %}",
)


def test_tools_and_calls_are_rendered(tmp_path: Path) -> None:
    tokenizer = FolderTokenizer(save_folder(tmp_path / "tools", tokenizer=byte_tokenizer(WITH_TOOLS)))
    text = tokenizer.render(TALK, open_turn=False)
    assert '"name": "get_weather", "parameters": {"type": "object"}' in text
    assert '<tool_call>{"name": "get_weather", "arguments": {"city": "Köln \\"am\\" Rhein", "n": 2}}</tool_call>' in text
    row = encode_training(TALK, tokenizer)
    learned = tokenizer.decode(row.ids[row.labelled].tolist())
    assert learned == '<tool_call>{"name": "get_weather", "arguments": {"city": "Köln \\"am\\" Rhein", "n": 2}}</tool_call>Seven degrees.'


@pytest.mark.parametrize(
    ("template", "messages", "lost"),
    [
        (TEMPLATE, TALK, "the tool 'get_weather'"),
        (TEMPLATE, (Message(role="user", content="hi"), CALLS), "the tool call 'get_weather' of turn 2 (assistant)"),
        ("{% if tools %}{{ tools | tojson }}{% endif %}" + TEMPLATE, TALK, "the tool"),  # the name stands there once, for the tool
        (WITH_TOOLS.replace("call.function.arguments", "{}"), TALK, "the argument 'city' of the tool call 'get_weather' of turn 2"),
        (TEMPLATE, (Message(role="user", content="hi", name="ann-7"),), "the name 'ann-7' of turn 1 (user)"),
        (
            TEMPLATE.replace("{% for message in messages %}", "{% for message in messages if message['role'] != 'system' %}"),
            (Message(role="system", content="Be brief."), Message(role="user", content="hi")),
            "the content of turn 1 (system)",
        ),
    ],
)
def test_a_template_that_drops_a_part_is_refused(tmp_path: Path, template: str, messages: tuple[Message, ...], lost: str) -> None:
    tokenizer = FolderTokenizer(save_folder(tmp_path / "drops", tokenizer=byte_tokenizer(template)))
    with pytest.raises(ModelError, match="^the chat template drops " + re.escape(lost)):
        tokenizer.render(messages, open_turn=False)


def test_reasoning_and_blanks_may_be_left_out(tmp_path: Path) -> None:
    template = TEMPLATE.replace(
        "{{ message['content'] }}{{ eos_token }}{% endgen", "{{ message['content'].split('</think>')[-1] | trim }}{{ eos_token }}{% endgen"
    )
    tokenizer = FolderTokenizer(save_folder(tmp_path / "thinks", tokenizer=byte_tokenizer(template)))
    talk = (Message(role="user", content="hi"), Message(role="assistant", content="<think>well</think>\n hello "))
    assert "well" not in tokenizer.render(talk, open_turn=False)


def test_the_reference_names_what_is_there(tiny_folder: Path, tiny_tokenizer: FolderTokenizer) -> None:
    found = model_ref(tiny_folder, "tiny", "main", tiny_tokenizer)
    assert found.parameters == sum(p.numel() for p in tiny_llama().parameters())
    assert (found.name, found.context_length, found.licence) == ("tiny", 512, "unknown")
    assert found.weights_sha256 == folder_sha256(tiny_folder, [".safetensors"])


def test_the_licence_is_read_off_the_model_card(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "tiny")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    assert model_ref(folder, "tiny", "main", FolderTokenizer(folder)).licence == "apache-2.0"


def test_other_weights_or_another_template_make_another_reference(
    tmp_path: Path, tiny_folder: Path, tiny_tokenizer: FolderTokenizer
) -> None:
    first = model_ref(tiny_folder, "tiny", "main", tiny_tokenizer)
    weights = save_folder(tmp_path / "weights", tiny_llama(seed=1))
    assert model_ref(weights, "tiny", "main", FolderTokenizer(weights)).weights_sha256 != first.weights_sha256
    template = save_folder(tmp_path / "template", tokenizer=byte_tokenizer(TEMPLATE + "{{ '\\n' }}"))
    assert model_ref(template, "tiny", "main", FolderTokenizer(template)).template != first.template


def test_the_context_is_the_models_own(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "short")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 64}))
    assert FolderTokenizer(folder).context_length == 64
