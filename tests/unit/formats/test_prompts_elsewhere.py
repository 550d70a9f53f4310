"""Prompts of other tools: promptfoo's configurations and DSPy's saved programs, read and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from provetune.chat import answer_of, prompt_messages
from provetune.errors import DataError
from provetune.formats.dspy import read_dspy, write_dspy
from provetune.formats.promptfoo import read_promptfoo, write_promptfoo
from provetune.records.candidate import Prompt, SimilarShots
from provetune.records.data import Message
from provetune.records.prompt_search import NamedPrompt, PromptSet
from tests.unit.records_by_hand import examples_of

SHOT = (Message(role="user", content="where is my card"), Message(role="assistant", content="card_arrival"))
# as DSPy 3.4.1 wrote it for ChainOfThought over a signature "message -> label" with described label
COT = {
    "predict": {
        "traces": [],
        "train": [],
        "demos": [
            {"augmented": True, "message": "refund me", "reasoning": "They want money back.", "label": "refund"},
            {"message": "no label here"},
        ],
        "signature": {
            "instructions": "Classify the message into a label.",
            "fields": [
                {"prefix": "Message:", "description": "${message}"},
                {"prefix": "Reasoning:", "description": "${reasoning}"},
                {"prefix": "Label:", "description": "one label"},
            ],
        },
        "lm": {"model": "openai/some-model"},
    },
    "metadata": {"dependency_versions": {"python": "3.11", "dspy": "3.4.1", "cloudpickle": "3.1"}},
}


def saved(folder: Path, content: object, name: str = "program.json") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def sent(prompt: Prompt) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in prompt_messages(prompt, examples_of(["refund"])[0])]


def named(*prompts: Prompt) -> list[NamedPrompt]:
    return [NamedPrompt(name=f"p{n}", prompt=prompt) for n, prompt in enumerate(prompts)]


def test_a_dspy_program_with_thoughts_is_read(tmp_path: Path) -> None:
    found = read_dspy(saved(tmp_path, COT))
    assert [one.name for one in found.prompts] == ["predict"]
    prompt = found.prompts[0].prompt
    assert (prompt.strategy, prompt.system) == ("few-shot+chain-of-thought", "Classify the message into a label.")
    (asked, answered), *rest = prompt.shots
    assert not rest and asked.content.startswith("refund me\n") and asked.content.endswith(prompt.turn or "?")
    assert answered.content == "They want money back.\nAnswer: refund" and answer_of(prompt, answered.content) == "refund"
    assert "predict: 1 of 2 demonstrations lack a field" in found.left_out and "predict: lm has no counterpart" in found.left_out
    assert PromptSet.from_json(found.to_json()) == found


def test_a_dspy_program_of_several_predictors_gives_one_prompt_each(tmp_path: Path) -> None:
    first = {"signature": {"instructions": "Join.", "fields": [{"prefix": f"{n.upper()}:", "description": f"${{{n}}}"} for n in "abc"]}}
    first["demos"] = [{"a": "x", "b": ["y"], "c": "xy"}]  # type: ignore[assignment]
    found = read_dspy(saved(tmp_path, {"first": first, "second.predict": COT["predict"], "metadata": {}}))
    assert [one.name for one in found.prompts] == ["first", "second"]
    assert [m.content for m in found.prompts[0].prompt.shots[0]] == ['A: x\nB: ["y"]', "xy"]
    assert any(line.startswith("first: the file does not say which fields are written; c is taken") for line in found.left_out)


@pytest.mark.parametrize("content", [{}, {"metadata": {}}, {"signature": 3}, {"predict": {"signature": {}}}])
def test_what_is_no_dspy_program_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(DataError, match=r"wanted predictors with a signature"):
        read_dspy(saved(tmp_path, content))


def test_a_prompt_written_for_dspy_reads_back(tmp_path: Path) -> None:
    prompt = Prompt(strategy="few-shot", system="Say the label.", shots=(SHOT,))
    text, left_out = write_dspy(named(prompt))
    back = read_dspy(saved(tmp_path, text))
    assert back.prompts[0].prompt == prompt and len(left_out) == 1
    with pytest.raises(DataError, match="found 2 prompts"):
        write_dspy(named(prompt, prompt))


PROMPTFOO = """
description: routing
providers: [openai:some-model]
tests: [{vars: {text: hi}}]
prompts:
  - "Which label fits? {{text}}\\nLabel:"
  - file://chat.json
  - file://several.txt
  - id: by-program
    raw: file://make.py
    label: by program
  - "{% if a %}x{% endif %} {{text}}"
  - "{{text}} in {{language}}"
  - file://../outside.txt
  - "{{ text }}"
"""


def test_a_promptfoo_configuration_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    chat = [
        {"role": "developer", "content": "Say the label."},
        {"role": "user", "content": "where is my card"},
        {"role": "assistant", "content": "card_arrival"},
        {"role": "user", "content": "{{text}}"},
    ]
    saved(folder, chat, "chat.json")
    saved(folder, "First: {{text}}\n---\nSecond. {{text}}\n", "several.txt")
    saved(folder, "def get(): pass", "make.py")
    saved(tmp_path, "secret {{text}}", "outside.txt")
    found = read_promptfoo(saved(folder, PROMPTFOO, "promptfooconfig.yaml"))
    prompts = {one.name: one.prompt for one in found.prompts}
    assert list(prompts) == ["prompt 1", "prompt 2", "several 1", "several 2", "prompt 8"]
    assert sent(prompts["prompt 1"]) == [("system", "Which label fits?"), ("user", "question 0\n\nLabel:")]
    assert prompts["prompt 2"] == Prompt(strategy="few-shot", system="Say the label.", shots=(SHOT,))
    assert prompts["prompt 8"].strategy == "plain"
    told = "\n".join(found.left_out)
    for words in ("providers: has", "tests: has", "by program: make.py is a program", "prompt 5: found template logic", "language, text"):
        assert words in told
    assert "prompt 7: ../outside.txt lies outside" in told and "secret" not in found.to_json()


@pytest.mark.parametrize(
    ("text", "words"), [("a: 1", "found no 'prompts'"), ("prompts: [no variable]", "no prompt that can"), ("a: [", "not YAML")]
)
def test_what_is_no_promptfoo_configuration_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_promptfoo(saved(tmp_path, text, "promptfooconfig.yaml"))


def test_prompts_written_for_promptfoo_read_back(tmp_path: Path) -> None:
    braces = (Message(role="user", content="{{x}} {% y"), Message(role="assistant", content='{"a": {"b": 1}}'))
    prompts = named(
        Prompt(strategy="plain"),
        Prompt(strategy="zero-shot", system="Größe: {labels}\n\nReply — with {{one}}."),
        Prompt(strategy="few-shot", system="Say.", shots=(SHOT, braces)),
        Prompt(strategy="zero-shot", system="Say.", turn="Think."),
    )
    text, left_out = write_promptfoo(prompts)
    back = read_promptfoo(saved(tmp_path, text, "promptfooconfig.yaml"))
    assert list(back.prompts) == prompts and not left_out and not back.left_out
    assert all(json.loads(entry["raw"])[-1]["role"] == "user" for entry in yaml.safe_load(text)["prompts"])


def test_shots_of_a_row_s_own_cannot_be_written() -> None:
    similar = Prompt(strategy="few-shot", similar=SimilarShots(k=4, embedder="TF-IDF", pool_sha256="0", room=100))
    _, left_out = write_promptfoo([*named(similar), NamedPrompt(name="other", prompt=Prompt(strategy="plain"))])
    assert left_out == ["p0: each row has shots of its own, which no text can hold"]
    with pytest.raises(DataError, match="found no prompt that promptfoo can hold"):
        write_promptfoo(named(similar))
