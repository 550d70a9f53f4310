"""One request from its admission to its line in the log: who answers, how long it took, what others would have said."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator

from provetune.records.candidate import Candidate
from provetune.records.data import Message
from provetune.records.traffic import Finish, Route, TrafficRecord
from provetune.serving.backend import Job, Part, Usage
from provetune.serving.fleet import Served
from provetune.serving.gateway import Gateway
from provetune.serving.keys import Caller
from provetune.serving.problems import Problem
from provetune.serving.requests import ChatAsked, CompletionAsked
from provetune.traffic import moment


@dataclass
class Written:
    """What came so far: the texts of all choices and how each ended."""

    texts: list[str]
    ends: list[Finish | None]
    usage: Usage = Usage(None, None)
    first_s: float | None = None

    def take(self, part: Part | Usage, started: float) -> None:
        """Add a part. Problem 502 where it says that the model failed."""
        if isinstance(part, Usage):
            self.usage = part
            return
        if self.first_s is None:
            self.first_s = time.monotonic() - started
        if not 0 <= part.choice < len(self.texts):
            raise Problem(502, "the back end sent a choice that was not asked for")
        self.texts[part.choice] += part.text
        self.ends[part.choice] = part.end or self.ends[part.choice]
        if part.end == "error":
            raise Problem(500 if part.error is None else 503, part.error or "the model failed", retry_after_s=1)


@dataclass
class Answering:
    """The answer to one request. `parts` yields it; whatever ends that iteration, a line of the log is written.

    `text` is what a plain completion continues; `answers` names the request that this one is a copy of.
    """

    gateway: Gateway
    caller: Caller
    asked: ChatAsked | CompletionAsked
    request_id: str
    route: Route
    served: Served
    text: str | None = None
    answers: str = ""

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.written = Written([""] * (self.asked.n or 1), [None] * (self.asked.n or 1))

    @classmethod
    async def begin(cls, gateway: Gateway, caller: Caller, asked: ChatAsked | CompletionAsked, request_id: str) -> Answering:
        """Choose who answers: by the model that is asked for and by who asks. Problem 404 for a model that is not served."""
        tuned = await gateway.tuned(asked.model)
        unit = _user(asked) or caller.id or request_id
        if tuned is not None:
            return cls(gateway, caller, asked, request_id, "champion", tuned)
        return cls(gateway, caller, asked, request_id, *gateway.fleet.choose(asked.model, unit))

    async def parts(self) -> AsyncGenerator[Part | Usage, None]:
        """The parts of the answer. Problem where it cannot be given, in time or at all."""
        gateway, finish = self.gateway, "error"
        try:
            with self.served.held(), gateway.tracing.span("chat" if self.text is None else "text_completion", self.asked.model) as told:
                try:
                    async with asyncio.timeout(gateway.settings.answer_s):
                        async for part in self.served.backend.answer(Job(self.asked, self.served.candidate, self.text)):
                            self.written.take(part, self.started)
                            yield part
                    finish = next((end for end in self.written.ends if end), "stop")
                except TimeoutError:
                    raise Problem(504, f"no answer within {gateway.settings.answer_s:g} s") from None
                except (GeneratorExit, asyncio.CancelledError):
                    finish = "cancelled"
                    raise
                except Problem as problem:
                    told.facts["error"] = problem.code or str(problem.status)
                    finish = "" if problem.status < 500 else "error"  # the client's fault is no line of the log
                    raise
                finally:
                    told.facts |= self._facts(finish)
        finally:
            if finish:
                self._keep(finish)

    async def mirror(self, served: Served) -> None:
        """Ask another of the line-up the same, and only write down what it says."""
        asked = self.asked.model_copy(update={"stream": None})
        name = f"{self.request_id}-shadow"
        other = Answering(self.gateway, self.caller, asked, name, "shadow", served, self.text, self.request_id)
        try:
            async for _ in other.parts():
                pass
        except Problem:
            self.gateway.figures.add("shadow_failures")

    def _facts(self, finish: str) -> dict[str, Any]:
        usage = self.written.usage
        return {
            "model": self.served.name,
            "id": self.request_id,
            "finish": [finish or "refused"],
            "route": self.route,
            "release": self.served.release,
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "completion": self.written.texts[0],
            "prompt": json.dumps([turn.model_dump(mode="json", exclude_defaults=True) for turn in self._turns()], ensure_ascii=False),
        }

    def _turns(self) -> tuple[Message, ...]:
        return self.asked.turns if isinstance(self.asked, ChatAsked) else (Message(role="user", content=self.text or ""),)

    def _keep(self, finish: Any) -> None:
        """Count the request, write it down, and have others asked the same."""
        gateway, written, seconds = self.gateway, self.written, time.monotonic() - self.started
        tokens = (written.usage.prompt or 0) + (written.usage.completion or 0)
        gateway.admission.spent(self.caller, tokens)
        gateway.figures.seconds("request", seconds, route=self.route)
        gateway.figures.add("answers", route=self.route, finish=finish)
        gateway.figures.add("prompt_tokens", written.usage.prompt or 0)
        gateway.figures.add("completion_tokens", written.usage.completion or 0)
        if gateway.log is not None:
            gateway.log.put(self._line(finish, seconds))
        if self.answers or finish != "stop" and finish != "length":
            return
        lineup = gateway.fleet.lineup
        if self.route != "champion" and self.served in lineup.others.values():
            gateway.beside(self.mirror(lineup.champion))
        elif "shadow" in lineup.others and self.served is lineup.champion and random.random() < lineup.shares.get("shadow", 1.0):
            gateway.beside(self.mirror(lineup.others["shadow"]))

    def _line(self, finish: Finish, seconds: float) -> TrafficRecord:
        gateway, written, served = self.gateway, self.written, self.served
        rate = gateway.settings.sampling_rate
        kept = rate >= 1 or random.Random(self.answers or self.request_id).random() < rate
        whole = finish in ("stop", "length")
        return TrafficRecord(
            request_id=self.request_id,
            at=moment(),
            model=served.name,
            release=served.release,
            candidate=served.candidate.fingerprint,
            template=served.template,
            route=self.route,
            prompt=self._turns() if kept else None,
            completion=written.texts[0] if kept else None,
            prompt_tokens=written.usage.prompt,
            completion_tokens=written.usage.completion,
            latency_s=round(seconds, 4),
            first_token_s=None if written.first_s is None else round(written.first_s, 4),
            finish=finish,
            schema_valid=_valid(served.candidate, self.asked, written.texts[0]) if whole else None,
            mean_logprob=written.usage.mean_logprob,
            user="" if gateway.salt is None else gateway.salt.hashed(_user(self.asked)),
            key=self.caller.id,
            answers=self.answers,
            tags=dict(self.asked.metadata or {}),
            sampling_rate=max(rate, 1e-9),
        )


def _user(asked: ChatAsked | CompletionAsked) -> str:
    return asked.user or asked.safety_identifier or ""


def _valid(candidate: Candidate, asked: ChatAsked | CompletionAsked, text: str) -> bool | None:
    """Whether a completion keeps to the form that the candidate was measured with; None where it has none, or another was asked for."""
    own = candidate.generation
    if not isinstance(asked, ChatAsked) or asked.response_format is not None:
        return None
    if own.choices:
        return text in own.choices
    if own.json_schema is None:
        return None
    try:
        return bool(_validator(own.json_schema).is_valid(json.loads(text)))
    except (ValueError, RecursionError):
        return False


@lru_cache(maxsize=64)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema))
