"""`/v1/chat/completions` and `/v1/completions`: whole answers and streams of events, in OpenAI's form."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from provetune.serving.answering import Answering
from provetune.serving.backend import Part, TokenScore, Usage
from provetune.serving.bodies import read_body, validated
from provetune.serving.gateway import Gateway
from provetune.serving.problems import Problem
from provetune.serving.requests import ChatAsked, CompletionAsked

SSE = "text/event-stream"


@dataclass(frozen=True)
class CompletionRoutes:
    """The two routes over one gateway."""

    gateway: Gateway

    async def chat(self, request: Request) -> Response:
        """A conversation's next turn."""
        return await self._answered(request, ChatAsked)

    async def complete(self, request: Request) -> Response:
        """The continuation of a text."""
        return await self._answered(request, CompletionAsked)

    async def _answered(self, request: Request, kind: type[ChatAsked] | type[CompletionAsked]) -> Response:
        gateway = self.gateway
        caller = gateway.caller(request, "chat")
        with ExitStack() as place:
            place.enter_context(gateway.admission.admitted(caller))
            content = await read_body(request, gateway.settings.body_bytes, gateway.settings.body_s)
            asked = validated(kind, content)
            answering = await Answering.begin(gateway, caller, asked, request.scope["state"]["request_id"])
            if isinstance(asked, CompletionAsked):
                if len(asked.prompts) != 1:
                    raise Problem(400, "found several prompts, wanted one a request", "prompt", "unsupported_parameter")
                answering.text = asked.prompts[0]
            if not asked.stream:
                return JSONResponse(await _whole(answering, request))
            parts = answering.parts()
            first = await anext(parts)  # what cannot be answered is told by the status, before the stream begins
            events = _events(answering, _chained(first, parts), place.pop_all())
            return StreamingResponse(events, media_type=SSE, headers={"x-accel-buffering": "no"})


async def _chained(first: Part | Usage, rest: AsyncGenerator[Part | Usage, None]) -> AsyncGenerator[Part | Usage, None]:
    try:
        yield first
        async for part in rest:
            yield part
    finally:
        await rest.aclose()


async def _whole(answering: Answering, request: Request) -> dict[str, Any]:
    """The whole answer; given up where the client has gone."""
    collecting = asyncio.ensure_future(_collected(answering))
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((collecting, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not collecting.done():
            raise Problem(499, "the client has gone")
        return collecting.result()
    finally:
        for task in (collecting, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _collected(answering: Answering) -> dict[str, Any]:
    count = answering.asked.n or 1
    scores: list[list[TokenScore]] = [[] for _ in range(count)]
    calls: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    async with aclosing(answering.parts()) as parts:
        async for part in parts:
            if isinstance(part, Part):
                scores[part.choice] += part.scores
                calls[part.choice] += part.calls
    choices = [_choice(answering, k, scores[k], _joined_calls(calls[k])) for k in range(count)]
    return {**_head(answering, chunk=False), "choices": choices, "usage": usage_of(answering.written.usage)}


def _choice(answering: Answering, k: int, scores: Sequence[TokenScore], calls: list[dict[str, Any]]) -> dict[str, Any]:
    text, end = answering.written.texts[k], answering.written.ends[k]
    shared = {"index": k, "finish_reason": end, "logprobs": _logprobs(answering.asked, scores)}
    if isinstance(answering.asked, CompletionAsked):
        return {**shared, "text": text}
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    return {**shared, "message": {**message, "tool_calls": calls} if calls else message}


async def _events(answering: Answering, parts: AsyncGenerator[Part | Usage, None], place: ExitStack) -> AsyncGenerator[bytes, None]:
    """The stream: a part an event, then the usage where it is asked for, then `[DONE]`; an error ends it without that."""
    chat = isinstance(answering.asked, ChatAsked)
    head = _head(answering, chunk=True)
    options = answering.asked.stream_options
    wants_usage = options is not None and options.include_usage
    shared = {**head, "usage": None} if wants_usage else head
    opened: set[int] = set()
    with place:
        try:
            async for part in parts:
                if isinstance(part, Usage):
                    continue
                yield _event({**shared, "choices": [_delta(answering, part, first=part.choice not in opened, chat=chat)]})
                opened.add(part.choice)
            if wants_usage:
                yield _event({**head, "choices": [], "usage": usage_of(answering.written.usage)})
            yield b"data: [DONE]\n\n"
        except Problem as problem:
            yield _event(problem.document)
        finally:
            await parts.aclose()


def _delta(answering: Answering, part: Part, *, first: bool, chat: bool) -> dict[str, Any]:
    shared = {"index": part.choice, "finish_reason": part.end, "logprobs": _logprobs(answering.asked, part.scores)}
    if not chat:
        return {**shared, "text": part.text}
    delta: dict[str, Any] = {"role": "assistant"} if first else {}
    if part.text or (first and not part.calls):
        delta["content"] = part.text
    if part.calls:
        delta["tool_calls"] = list(part.calls)
    return {**shared, "delta": delta}


def _joined_calls(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls put together from the parts that a stream brought."""
    calls: dict[int, dict[str, Any]] = {}
    for part in parts:
        function = part.get("function") or {}
        call = calls.setdefault(int(part.get("index") or 0), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] = part.get("id") or call["id"]
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""
    return [calls[index] for index in sorted(calls)]


def _head(answering: Answering, *, chunk: bool) -> dict[str, Any]:
    chat = isinstance(answering.asked, ChatAsked)
    kind = ("chat.completion.chunk" if chunk else "chat.completion") if chat else "text_completion"
    name = answering.request_id.removeprefix("req_")
    return {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{name}",
        "object": kind,
        "created": int(time.time()),
        "model": answering.served.name,
        "system_fingerprint": answering.served.candidate.fingerprint,
    }


def usage_of(usage: Usage) -> dict[str, Any] | None:
    """Usage in OpenAI's form; None where nobody counted."""
    if usage.prompt is None or usage.completion is None:
        return None
    return {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "total_tokens": usage.prompt + usage.completion}


def _logprobs(asked: ChatAsked | CompletionAsked, scores: Sequence[TokenScore]) -> dict[str, Any] | None:
    if isinstance(asked, ChatAsked):
        if not asked.logprobs:
            return None
        content = [{**_scored(s.token, s.logprob), "top_logprobs": [_scored(*one) for one in s.top]} for s in scores]
        return {"content": content, "refusal": None}
    if asked.logprobs is None:
        return None
    tops = [dict(score.top) for score in scores] if asked.logprobs else None
    return {"tokens": [s.token for s in scores], "token_logprobs": [s.logprob for s in scores], "top_logprobs": tops, "text_offset": []}


def _scored(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _event(document: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n".encode()
