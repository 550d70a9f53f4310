"""What came back from an endpoint, and what it means: an answer, ask again, ask later, ask otherwise, or stop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from provetune.models.endpoint_request import LABEL, Body
from provetune.protocols import Completion
from provetune.records.data import Message, ToolCall

Kind = Literal["answered", "withheld", "again", "later", "lacks", "stop"]
SHOWN = 300
"""Characters of an endpoint's own words that are repeated."""
OPTIONAL = ("max_tokens", "temperature", "response_format", "stream_options", "top_p", "seed")
"""Parameters that some endpoints refuse, and that a request can do without."""
_OF_THIS_PROMPT = ("context length", "context window", "context_length", "too long", "content_filter", "content management", "moderation")
_REFUSES = ("support", "recogni", "unknown", "unexpected", "not permitted", "not allowed", "invalid")
_TRANSIENT = (408, 409, 425)
_ASK_LATER = (429, 503, 529)


@dataclass(frozen=True)
class Reply:
    """One request's end; `completion` only where it was answered.

    `withheld`: this prompt is not answered, `own` where that lies in the prompt. `again`: a fault that another try may mend. `later`:
    too many requests. `lacks`: the endpoint does not take the parameter `reason`. `stop`: no request can succeed. `tokens` are those
    of prompt and completion as the endpoint counted them; `billed` says whether it may have counted any.
    """

    kind: Kind
    reason: str = ""
    completion: Completion | None = None
    wait_s: float = 0.0
    tokens: tuple[int, int] | None = None
    billed: bool = True
    own: bool = False


def read_reply(status: int, headers: Mapping[str, str], content: bytes, sent: Body, choices: Sequence[str]) -> Reply:
    """The meaning of a whole response to the request body `sent`; `headers` have names in lower case."""
    if status == 200:
        return _answer(headers, content, sent, choices)
    text, code = _error(content)
    reason = f"{status}: {text}" if text else f"{status}"
    if 300 <= status < 400:
        host = urlsplit(headers.get("location", "")).hostname
        return _stop(f"redirects to {host}; that is not followed, since the key would go along. Correct url")
    if code == "insufficient_quota" or status == 402:
        return _stop(f"has no credit left for this key ({reason})")
    if status in (401, 403):
        return _stop(f"refuses the key ({reason}). Put a valid one into the environment variable that key_from names")
    if status == 404 or code == "model_not_found" or (status == 400 and _unknown_model(text)):
        return _stop(f"knows no model {sent['model']!r} at this address ({reason}). Correct model or url")
    if status in (400, 413, 422):
        return _not_taken(text, code, reason, sent)
    wait_s = _wait_s(headers)
    if status == 429 or (status in _ASK_LATER and wait_s > 0):
        return Reply("later", reason, wait_s=wait_s, billed=False)
    if status in _TRANSIENT or status >= 500:
        return Reply("again", reason, wait_s=wait_s, billed=False)
    return _stop(f"answers {reason}, wanted a chat completion. Correct url")


def short(text: str) -> str:
    r"""A foreign text on one line, without control characters, cut to `SHOWN`.

    >>> short("bad\n  gateway")
    'bad gateway'
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."


def _stop(reason: str) -> Reply:
    return Reply("stop", reason, billed=False)


def _not_taken(text: str, code: str, reason: str, sent: Body) -> Reply:
    """A request that the endpoint does not take: for a parameter, for this prompt, or for a reason of its own."""
    words = f"{text} {code}".casefold()
    if any(part in words for part in _OF_THIS_PROMPT):
        return Reply("withheld", reason, billed=False, own=True)
    named = {"json_schema": "response_format", "guided": "response_format", "structured": "response_format"}
    for word in (*OPTIONAL, *named) if any(part in words for part in _REFUSES) else ():
        parameter = named.get(word, word)
        if word in words and parameter in sent:
            return Reply("lacks", parameter, billed=False)
    return Reply("withheld", reason, billed=False)


def _unknown_model(text: str) -> bool:
    words = text.casefold()
    return "model" in words and ("not found" in words or "does not exist" in words or "not a valid model" in words)


def _error(content: bytes) -> tuple[str, str]:
    """The endpoint's own words and its code for a failure."""
    text = content.decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        error = found.get("error", found) if isinstance(found, dict) else found
        if isinstance(error, dict):
            return short(str(error.get("message") or error.get("detail") or error)), str(error.get("code") or error.get("type") or "")
        return short(str(error)), ""
    return short(text), ""


def _wait_s(headers: Mapping[str, str]) -> float:
    """Seconds that `Retry-After` asks for: a number, or a date (RFC 9110, 10.2.3); 0 where it asks for nothing."""
    with suppress(ValueError):
        if "retry-after-ms" in headers:
            return _seconds(float(headers["retry-after-ms"]) / 1000)
    given = headers.get("retry-after", "")
    with suppress(ValueError):
        return _seconds(float(given))
    with suppress(ValueError, TypeError):
        return _seconds((parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    return 0.0


def _seconds(given: float) -> float:
    return max(0.0, given) if given == given and abs(given) != float("inf") else 0.0


def _answer(headers: Mapping[str, str], content: bytes, sent: Body, choices: Sequence[str]) -> Reply:
    try:
        text = content.decode("utf-8")
        found = _joined(text) if "text/event-stream" in headers.get("content-type", "") else json.loads(text)
    except (ValueError, RecursionError):
        return Reply("again", f"no JSON (found {short(content[:SHOWN].decode('utf-8', 'replace'))!r})")
    if found is None:
        return Reply("again", "the stream was cut before its end")
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        return Reply("again", f"200 with an error: {_error(content)[0]}")
    try:
        choice = found["choices"][0]
        written, finish = _text_of(choice["message"]), choice.get("finish_reason")
    except (LookupError, TypeError, ValueError, AttributeError):
        return Reply("again", f"no choices[0].message.content (found {short(str(found))!r})")
    tokens = _tokens(found.get("usage"))
    if finish == "content_filter":
        return Reply("withheld", "the endpoint's content filter withheld the completion", tokens=tokens, own=True)
    if choices and "response_format" in sent:
        written = _label(written, choices)
    prompt_tokens, completion_tokens = tokens or (0, 0)
    return Reply("answered", completion=Completion(written, prompt_tokens, completion_tokens, finish != "length"), tokens=tokens)


def _text_of(message: dict[str, Any]) -> str:
    """What was written; a refusal is an answer, and so is nothing. Raises ValueError where content is no text."""
    written = message["content"] if message.get("content") is not None else message.get("refusal") or ""
    if not isinstance(written, str):
        raise ValueError("content is no text")
    functions = [call["function"] for call in message.get("tool_calls") or ()]
    calls = tuple(ToolCall(name=function["name"], arguments=function["arguments"]) for function in functions)
    return Message(role="assistant", content=written, tool_calls=calls).text


def _tokens(usage: Any) -> tuple[int, int] | None:
    """Tokens of prompt and completion; None where the endpoint does not say."""
    prompt, completion = (usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens"))
    return (prompt, completion) if type(prompt) is int and type(completion) is int and min(prompt, completion) >= 0 else None


def _label(written: str, choices: Sequence[str]) -> str:
    """The label out of its JSON; the text as it is where it is not that JSON."""
    with suppress(ValueError, RecursionError):
        found = json.loads(written)
        if isinstance(found, dict) and found.get(LABEL) in choices:
            return str(found[LABEL])
    return written


def _joined(text: str) -> dict[str, Any] | None:
    """Server-sent events as one completion; None where they end before the completion does. Raises ValueError on wrong JSON."""
    written, finish, usage = "", None, None
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            continue
        chunk = json.loads(line[5:])
        if not isinstance(chunk, dict) or isinstance(chunk.get("error"), dict):
            return chunk if isinstance(chunk, dict) else None
        usage = chunk.get("usage") or usage
        for choice in (chunk.get("choices") or [])[:1]:
            delta = choice.get("delta") or {}
            written += delta.get("content") or delta.get("refusal") or ""
            finish = choice.get("finish_reason") or finish
    return None if finish is None else {"choices": [{"message": {"content": written}, "finish_reason": finish}], "usage": usage}
