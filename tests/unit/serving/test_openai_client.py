"""The official `openai` client against a real server on loopback: chat, streams, structured output, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from tests.gateways import NAME, Running, gateway_over, running, served_from

SYSTEM = "Name the queue of this ticket, in one word."


@pytest.fixture(scope="module")
def gateway(tiny_folder: Path) -> Iterator[Running]:
    with running(gateway_over(served_from(tiny_folder, "tickets-v1"))) as found:
        yield found


@pytest.fixture
def client(gateway: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as found:
        yield found


def turns(k: int) -> list[Any]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"ticket {k}: my parcel is late"}]


def test_fifty_golden_prompts_are_answered_as_evaluation_answers_them(client: openai.OpenAI, tiny_folder: Path) -> None:
    generator = TransformersGenerator(load_model(tiny_folder), FolderTokenizer(tiny_folder))
    prompts = [tuple(Message(**turn) for turn in turns(k)) for k in range(50)]
    wanted = generator.generate(prompts, GenerationSettings(max_new_tokens=16), lambda *_: None)
    for k, one in enumerate(wanted):
        found = client.chat.completions.create(model=NAME, messages=turns(k))
        assert found.choices[0].message.content == one.text
        assert found.usage is not None
        assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (one.prompt_tokens, one.completion_tokens)
        assert found.choices[0].finish_reason == ("stop" if one.stopped else "length") and found.model == "tickets-v1"


def test_a_stream_says_the_same_and_ends_with_the_usage(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=NAME, messages=turns(0))
    chunks = list(client.chat.completions.create(model=NAME, messages=turns(0), stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content and chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage and chunks[-2].choices[0].finish_reason == "length"
    plain = list(client.chat.completions.create(model=NAME, messages=turns(0), stream=True))
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in plain)


def test_structured_output(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"queue": {"enum": ["a", "b"]}}, "required": ["queue"], "additionalProperties": False}
    form: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    found = client.chat.completions.create(model=NAME, messages=turns(1), response_format=form, max_tokens=60)
    assert json.loads(found.choices[0].message.content or "")["queue"] in ("a", "b")
    short: Any = {"type": "object", "properties": {"queue": {"type": "string", "maxLength": 5}}, "required": ["queue"]}
    parsed = client.chat.completions.create(
        model=NAME,
        messages=turns(2),
        max_tokens=120,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": short | {"additionalProperties": False}}},
    )
    assert len(json.loads(parsed.choices[0].message.content or "")["queue"]) <= 5
    refused: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "(?=a)"}}}
    with pytest.raises(openai.BadRequestError, match="cannot be promised"):
        client.chat.completions.create(model=NAME, messages=turns(2), response_format=refused)


def test_draws_stops_and_log_probabilities(client: openai.OpenAI) -> None:
    shared: Any = {"model": NAME, "messages": turns(3), "temperature": 1.0, "seed": 5}
    drawn = client.chat.completions.create(n=3, **shared)
    assert drawn == drawn.model_copy(update={"choices": drawn.choices}) and len({one.message.content for one in drawn.choices}) == 3
    again = client.chat.completions.create(n=3, **shared)
    assert [one.message.content for one in again.choices] == [one.message.content for one in drawn.choices]
    whole = client.chat.completions.create(model=NAME, messages=turns(3), logprobs=True, top_logprobs=2)
    logprobs = whole.choices[0].logprobs
    assert whole.usage is not None and logprobs is not None and logprobs.content is not None
    assert len(logprobs.content) == whole.usage.completion_tokens
    assert all(one.logprob <= 0 and one.logprob == one.top_logprobs[0].logprob and len(one.top_logprobs) == 2 for one in logprobs.content)
    text = whole.choices[0].message.content or ""
    stopped = client.chat.completions.create(model=NAME, messages=turns(3), stop=text[4:7])
    assert stopped.choices[0].message.content == text[: text.index(text[4:7])] and stopped.choices[0].finish_reason == "stop"


def test_a_plain_text_is_continued(client: openai.OpenAI) -> None:
    found = client.completions.create(model=NAME, prompt="Dear", max_tokens=8, logprobs=1)
    assert found.choices[0].text and found.usage is not None and found.usage.completion_tokens <= 8
    streamed = client.completions.create(model=NAME, prompt="Dear", max_tokens=8, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == found.choices[0].text


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [NAME, "tickets-v1"]
    assert client.models.retrieve("tickets-v1").owned_by == "provetune"
    with pytest.raises(openai.NotFoundError, match="not served"):
        client.models.retrieve("../../etc/passwd")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, "tools"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"max_tokens": 10**9}, "messages"),
        ({"stop": [""]}, "stop"),
        ({"n": 10**6}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"extra_body": {"best_before": 1}}, "best_before"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": []}, "messages"),
        ({"top_logprobs": 3}, "top_logprobs"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not_supported_is_refused_by_name(client: openai.OpenAI, change: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": NAME, "messages": turns(0), **change})
    assert (caught.value.param or "").startswith(param) and caught.value.type == "invalid_request_error"
