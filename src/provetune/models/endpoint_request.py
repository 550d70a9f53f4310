"""One prompt as a request for a chat completion, in OpenAI's form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from provetune.chat import tools_of
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message

LABEL = "label"
"""Key of the label in the JSON that a completion is held to; no endpoint is known to hold one to bare texts in the common form."""
_AROUND_LABEL = 16  # tokens of {"label": ""} and blanks, one byte each
_PER_MESSAGE, _PER_REQUEST = 16, 64  # tokens that a template may put around messages
Body = dict[str, Any]


def request_body(model: str, messages: Sequence[Message], settings: GenerationSettings, *, stream: bool, lacks: frozenset[str]) -> Body:
    """The body of the request; what the endpoint `lacks` is left out, `max_tokens` then goes by its newer name.

    >>> body = request_body("m", [Message(role="user", content="hi")], GenerationSettings(), stream=False, lacks=frozenset())
    >>> body["messages"], body["max_tokens"], body["temperature"]
    ([{'role': 'user', 'content': 'hi'}], 32, 0.0)
    """
    body: Body = {
        "model": model,
        "messages": [_message(message) for message in messages],
        "max_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
    }
    if settings.temperature > 0:
        body |= {"top_p": settings.top_p, "seed": settings.seed}
    tools = tools_of(messages)
    if tools:
        body["tools"] = [json.loads(tool) for tool in tools]
    elif stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    schema = _schema(settings)
    if schema is not None and "response_format" not in lacks:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
        if settings.choices:
            body["max_tokens"] = max(settings.max_new_tokens, max(len(text.encode()) for text in settings.choices) + _AROUND_LABEL)
    if "max_tokens" in lacks:
        body["max_completion_tokens"] = body["max_tokens"]
    return {name: value for name, value in body.items() if name not in lacks}


def tokens_at_most(body: Body) -> tuple[int, int]:
    """Most tokens that a request can be billed for: (prompt, completion).

    A token is at least one byte; templates add a few around each message.
    """
    size = len(json.dumps(body, ensure_ascii=False).encode())
    return size + _PER_MESSAGE * len(body["messages"]) + _PER_REQUEST, body.get("max_completion_tokens") or body["max_tokens"]


def _schema(settings: GenerationSettings) -> Body | None:
    if settings.choices:
        label = {"type": "string", "enum": list(settings.choices)}
        return {"type": "object", "properties": {LABEL: label}, "required": [LABEL], "additionalProperties": False}
    return json.loads(settings.json_schema) if settings.json_schema is not None else None


def _message(message: Message) -> Body:
    own: Body = {"role": "developer" if message.developer else message.role, "content": message.content}
    if message.name is not None:
        own["name"] = message.name
    if message.tool_call_id is not None:
        own["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        own["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls
        ]
    return own
