"""What clients may ask for, in OpenAI's form, as checked types; whatever is not named here is refused."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from provetune.formats.chat import ROLES
from provetune.records.data import Message, ToolCall
from provetune.serving.problems import invalid

LARGEST_N, MOST_STOPS, LONGEST_STOP, MOST_MESSAGES = 16, 4, 200, 2_000
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Tag = Annotated[str, StringConstraints(max_length=512)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_STOP)]


class Asked(BaseModel):
    """A part of a request; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TextPart(Asked):
    """One part of a content in parts."""

    type: Literal["text"]
    text: str


class FunctionCall(Asked):
    """Name and arguments (JSON as text) of a call."""

    name: Name
    arguments: str


class CallPart(Asked):
    """A call that an assistant made earlier."""

    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall


class Turn(Asked):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart], Field(max_length=1_000)] | None = None
    name: str | None = Field(default=None, max_length=200)
    tool_calls: Annotated[list[CallPart], Field(max_length=128)] | None = None
    tool_call_id: str | None = Field(default=None, max_length=200)
    refusal: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        return "".join(part.text for part in self.content) if isinstance(self.content, list) else self.content or ""


class SchemaPart(Asked):
    """The schema that a completion is held to."""

    name: Name
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema", default_factory=dict)
    strict: bool | None = None


class ResponseFormat(Asked):
    """Form of the completion."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaPart | None = None

    def as_schema(self) -> str | None:
        """The JSON Schema as text; None for free text."""
        if self.type == "text":
            return None
        if self.type == "json_object":
            return '{"type": "object"}'
        if self.json_schema is None:
            raise invalid("response_format.json_schema is missing", "response_format.json_schema")
        return json.dumps(self.json_schema.json_schema, ensure_ascii=False)


class StreamOptions(Asked):
    """What a stream ends with."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Sampling(Asked):
    """What chat and plain completions have in common."""

    model: Name
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    n: int | None = Field(default=None, ge=1, le=LARGEST_N)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = Field(default=None, max_length=512)
    safety_identifier: str | None = Field(default=None, max_length=512)
    metadata: Annotated[dict[Annotated[str, StringConstraints(max_length=64)], Tag], Field(max_length=16)] | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end a completion."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatAsked(Sampling):
    """A request for a chat completion."""

    messages: list[Turn] = Field(min_length=1, max_length=MOST_MESSAGES)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default"] | None = None
    modalities: list[Literal["text"]] | None = None

    @property
    def alternatives(self) -> int | None:
        """Alternatives reported beside each token; None where no log-probabilities are asked for."""
        if self.top_logprobs and not self.logprobs:
            raise invalid("top_logprobs needs logprobs: true", "top_logprobs")
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def turns(self) -> tuple[Message, ...]:
        """The conversation."""
        return tuple(_message(turn, place) for place, turn in enumerate(self.messages))


class CompletionAsked(Sampling):
    """A request for a plain completion of a text."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=LARGEST_N)]
    logprobs: int | None = Field(default=None, ge=0, le=5)
    echo: Literal[False] | None = None
    best_of: Literal[1] | None = None
    suffix: None = None

    @property
    def prompts(self) -> list[str]:
        """The texts to be continued."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


def _message(turn: Turn, place: int) -> Message:
    if turn.tool_calls and turn.role != "assistant":
        raise invalid(f"messages.{place}: tool_calls stand in a message of the role {turn.role!r}", f"messages.{place}.tool_calls")
    if turn.content is None and not turn.tool_calls:
        raise invalid(f"messages.{place}: content is missing", f"messages.{place}.content")
    calls = []
    for call in turn.tool_calls or ():
        try:
            if not isinstance(json.loads(call.function.arguments), dict):
                raise ValueError("no object")
        except (ValueError, RecursionError):
            raise invalid(f"messages.{place}: the arguments of a tool call are no JSON object", f"messages.{place}.tool_calls") from None
        calls.append(ToolCall(name=call.function.name, arguments=call.function.arguments, id=call.id))
    return Message(
        role=ROLES[turn.role],
        content=turn.text,
        name=turn.name,
        tool_calls=tuple(calls),
        tool_call_id=turn.tool_call_id,
        developer=turn.role == "developer",
    )
