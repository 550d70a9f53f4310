"""What a response means, without a server: published forms of answers and refusals, waits, and answers that are none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from provetune.models.endpoint_reply import Reply, read_reply
from provetune.models.endpoint_request import request_body, tokens_at_most
from provetune.protocols import Completion
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message, ToolCall

SENT = request_body("m", [Message(role="user", content="hi")], GenerationSettings(), stream=False, lacks=frozenset())


def read(status: int, content: Any, headers: dict[str, str] | None = None, **sent: Any) -> Reply:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_reply(status, headers or {}, raw, {**SENT, **sent}, ())


def whole(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}


# the wordings are those of OpenAI, Azure, vLLM, Ollama, OpenRouter and nginx
REFUSALS = [
    (401, {"error": {"message": "Incorrect API key provided: sk-1***2.", "code": "invalid_api_key"}}, "stop", "refuses the key"),
    (402, {"error": {"message": "Insufficient credits", "code": 402}}, "stop", "no credit left"),
    (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, "stop", "no credit left"),
    (404, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, "stop", "knows no model 'm'"),
    (404, {"error": 'model "m" not found, try pulling it first'}, "stop", "try pulling it first"),
    (400, {"error": {"message": "m is not a valid model ID", "code": 400}}, "stop", "knows no model"),
    (405, b"<html>405 Not Allowed</html>", "stop", "405 Not Allowed"),
    (429, {"error": {"message": "Rate limit reached for requests", "code": "rate_limit_exceeded"}}, "later", "Rate limit"),
    (500, {"error": {"message": "The server had an error"}}, "again", "500: The server had an error"),
    (502, b"<html>\r\n<h1>502 Bad Gateway</h1>", "again", "502: <html> <h1>502 Bad Gateway</h1>"),
    (529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}, "again", "529: Overloaded"),
    (
        400,
        {
            "error": {
                "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            }
        },
        "lacks",
        "max_tokens",
    ),
    (
        400,
        {"error": {"message": "Unsupported value: 'temperature' does not support 0 with this model.", "code": "unsupported_value"}},
        "lacks",
        "temperature",
    ),
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested 5000; reduce max_tokens",
        },
        "withheld",
        "maximum context length",
    ),
    (400, {"error": {"message": "The response was filtered due to the prompt", "code": "content_filter"}}, "withheld", "filtered"),
    (422, {"detail": "the row speaks of temperature"}, "withheld", "speaks of"),
]


@pytest.mark.parametrize(("status", "content", "kind", "reason"), REFUSALS)
def test_refusals_in_the_wild(status: int, content: Any, kind: str, reason: str) -> None:
    found = read(status, content)
    assert found.kind == kind and reason in found.reason and not found.billed


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, 0.0),
        ({"retry-after": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert read(429, {}, headers).wait_s == seconds


def test_a_date_to_wait_for() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3500 < read(429, {}, {"retry-after": in_an_hour}).wait_s <= 3600


@pytest.mark.parametrize(
    ("message", "finish", "text", "stopped"),
    [
        ({"content": "yes"}, "stop", "yes", True),
        ({"content": ""}, "stop", "", True),
        ({"content": None}, "length", "", False),
        ({"content": None, "refusal": "I will not."}, "stop", "I will not.", True),
        ({"content": "yes", "reasoning_content": "it is"}, None, "yes", True),
        (
            {"content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
            "tool_calls",
            '{"name": "f", "arguments": {"a": 1}}',
            True,
        ),
    ],
)
def test_an_answer_is_what_was_written_be_it_nothing(message: dict[str, Any], finish: str, text: str, stopped: bool) -> None:
    found = read(200, whole(message, finish, usage={"prompt_tokens": 9, "completion_tokens": 2}))
    assert found.completion is not None
    assert (found.completion.text.strip() if found.completion.text else "", found.completion.stopped) == (text, stopped)
    assert found.tokens == (9, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        {"choices": []},
        {"choices": [{}]},
        whole({"content": 3}),
        whole({"content": ["a"]}),
        b"null",
    ],
)
def test_what_is_no_answer_is_asked_again(content: Any) -> None:
    assert read(200, content).kind == "again"


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": 3}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": True}, 7]
)
def test_tokens_that_are_not_told_are_unknown(usage: Any) -> None:
    assert read(200, whole({"content": "a"}, usage=usage)).tokens is None


def events(*chunks: Any, end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end).encode()


def part(text: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish}]}


STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def test_a_stream_is_joined() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 3}}
    found = read(200, events(part("a\u2028"), part("b"), part(None, "length"), usage), STREAM)
    assert found.completion == Completion("a\u2028b", 4, 3, False)
    assert read(200, events(part("a", "stop"), end=""), STREAM).completion == Completion("a", 0, 0, True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (events(part("a"), part("b")), "cut before its end"),
        (b"", "cut before its end"),
        (events(part("a"), end='data: {"choices": [{"del'), "no JSON (found"),
        (events(part("a"), {"error": {"message": "overloaded"}}), "an error"),
    ],
)
def test_a_stream_that_breaks(content: bytes, reason: str) -> None:
    found = read(200, content, STREAM)
    assert found.kind == "again" and reason in found.reason


def test_tools_go_along_and_are_not_streamed() -> None:
    tool = '{"type": "function", "function": {"name": "f"}}'
    call = ToolCall(name="f", arguments="{}", id="7")
    turns = [
        Message(role="system", content="s", developer=True, tools=(tool,)),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="done", tool_call_id="7", name="f"),
    ]
    body = request_body("m", turns, GenerationSettings(), stream=True, lacks=frozenset())
    assert body["tools"] == [json.loads(tool)] and "stream" not in body
    assert body["messages"] == [
        {"role": "developer", "content": "s"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "7", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "content": "done", "name": "f", "tool_call_id": "7"},
    ]


@pytest.mark.parametrize("text", ["plain words", "漢字仮名交じり文", "🙂" * 50, "a\u0301" * 9])
def test_no_tokenizer_of_bytes_finds_more_tokens_than_reserved(text: str) -> None:
    body = request_body("m", [Message(role="user", content=text)], GenerationSettings(max_new_tokens=3), stream=False, lacks=frozenset())
    prompt, completion = tokens_at_most(body)
    assert prompt >= len(text.encode()) and completion == 3
    renamed = request_body("m", [Message(role="user", content=text)], GenerationSettings(), stream=False, lacks=frozenset({"max_tokens"}))
    assert tokens_at_most(renamed)[1] == 32


def test_a_schema_goes_along_strictly() -> None:
    settings = GenerationSettings(json_schema='{"type": "object"}')
    form = request_body("m", [Message(role="user", content="a")], settings, stream=False, lacks=frozenset())["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"]["schema"] == {"type": "object"}
