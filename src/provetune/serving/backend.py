"""What stands behind the gateway: something that answers one request, part by part."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from provetune.records.candidate import Candidate, GenerationSettings
from provetune.records.data import Example, Message
from provetune.records.traffic import Finish
from provetune.serving.problems import invalid
from provetune.serving.requests import ChatAsked, CompletionAsked

PLACEHOLDER = Message(role="assistant", content="")


@dataclass(frozen=True)
class TokenScore:
    """A token as text, its log-probability in nats, and the likeliest ones in its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Part:
    """What one choice goes on with; `end` comes with its last part, `calls` are parts of tool calls as the back end sent them."""

    choice: int
    text: str = ""
    scores: tuple[TokenScore, ...] = ()
    end: Finish | None = None
    error: str | None = None
    calls: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens of all choices together, and the first choice's mean log-probability; None where the back end does not say."""

    prompt: int | None
    completion: int | None
    mean_logprob: float | None = None


@dataclass(frozen=True)
class Job:
    """One request: a chat (`asked.messages`) or the continuation of `text`, under the served candidate."""

    asked: ChatAsked | CompletionAsked
    candidate: Candidate
    text: str | None = None

    @property
    def count(self) -> int:
        """Completions that are wanted."""
        return self.asked.n or 1

    @property
    def example(self) -> Example:
        """The conversation as evaluation sees one."""
        assert isinstance(self.asked, ChatAsked)
        return Example(id="request", messages=(*self.asked.turns, PLACEHOLDER))


class Backend(Protocol):
    """Answers requests. Many at a time; raises Problem before the first part for what it cannot do."""

    def answer(self, job: Job) -> AsyncGenerator[Part | Usage, None]:
        """The parts of all choices as they come, then the usage."""
        ...

    async def healthy(self) -> bool:
        """Whether a real completion of one token comes back."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...

    def gauges(self) -> dict[str, float]:
        """Figures of its own, for the metrics."""
        ...


def settings_of(job: Job, seed: int) -> GenerationSettings:
    """How a completion is to be written: as the candidate was measured, save for what the request asks otherwise.

    `seed` is taken for draws where neither names one. Raises Problem where the two cannot be had together.
    """
    asked, own = job.asked, job.candidate.generation
    limit = asked.max_tokens
    changes: dict[str, Any] = {}
    if isinstance(asked, ChatAsked):
        limit = asked.max_completion_tokens or limit
        if asked.response_format is not None:
            changes = {"choices": (), "scored": False, "calibration": "none", "json_schema": asked.response_format.as_schema()}
    else:
        changes = {"choices": (), "scored": False, "calibration": "none", "json_schema": None}
    if limit is not None:
        changes["max_new_tokens"] = limit
    changes |= {} if asked.temperature is None else {"temperature": asked.temperature}
    changes |= {} if asked.top_p is None else {"top_p": asked.top_p}
    if changes.get("temperature", own.temperature) > 0:
        changes["seed"] = abs(asked.seed) if asked.seed is not None else own.seed or seed
    wanted = own.model_copy(update=changes)
    if wanted.scored and (wanted.temperature > 0 or job.count > 1 or asked.stops or asked.logprobs):
        raise invalid(
            "this model answers with the likeliest of its labels; temperature, n, stop and logprobs need "
            'response_format: {"type": "text"}, which lets it write',
            "temperature",
        )
    return wanted


def refuse_tools(asked: ChatAsked | CompletionAsked) -> None:
    """Problem where a request brings tools."""
    given = {"tools": asked.tools, "tool_choice": asked.tool_choice} if isinstance(asked, ChatAsked) else {}
    for name, value in given.items():
        if value not in (None, [], "none"):
            raise invalid(
                f"{name}: this back end does not call tools; put the gateway in front of one that does (`provetune serve --endpoint URL`)",
                name,
                "unsupported_parameter",
            )
