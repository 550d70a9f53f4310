"""Any OpenAI-compatible endpoint behind the gateway: `vllm serve`, a hosted model, another gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2

from provetune.models.endpoint_reply import short
from provetune.records.candidate import Candidate
from provetune.records.traffic import Finish
from provetune.serving.backend import Job, Part, TokenScore, Usage
from provetune.serving.problems import Problem
from provetune.serving.requests import ChatAsked

NOT_SENT = {"user", "metadata", "store", "safety_identifier", "service_tier", "stream", "stream_options", "model"}
"""What stays with the gateway, or is set by it."""
ENDS: dict[str, Finish] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}
CONNECT_S, READ_S, HEALTH_S = 5.0, 300.0, 20.0
_LINE = 4_000_000


class ProxyBackend:
    """Sends each request on to `url` (which ends in `/v1`) for `model`, always as a stream; nothing is retried."""

    def __init__(self, url: str, model: str, key: str | None = None, *, most_open: int = 256) -> None:
        self.url, self.model = url.rstrip("/"), model
        headers = {"authorization": f"Bearer {key}"} if key else {}
        limits = httpx2.Limits(max_connections=most_open, max_keepalive_connections=most_open)
        timeout = httpx2.Timeout(READ_S, connect=CONNECT_S)
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, limits=limits, follow_redirects=False)
        self._open = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def answer(self, job: Job) -> AsyncGenerator[Part | Usage, None]:
        """See `Backend`."""
        self._loop = asyncio.get_running_loop()
        route = "chat/completions" if isinstance(job.asked, ChatAsked) else "completions"
        usage = Usage(None, None)
        self._open += 1
        try:
            async with self._client.stream("POST", f"{self.url}/{route}", json=self._body(job)) as reply:
                if reply.status_code != 200:
                    raise _refused(reply.status_code, await reply.aread(), reply.headers.get("retry-after"))
                async for chunk in _chunks(reply):
                    if chunk.get("error"):
                        raise Problem(502, f"the back end failed: {short(json.dumps(chunk['error']))}")
                    if isinstance(counted := chunk.get("usage"), dict):
                        usage = Usage(counted.get("prompt_tokens"), counted.get("completion_tokens"))
                    for choice in chunk.get("choices") or []:
                        yield _part(choice)
        except httpx2.ConnectError:
            raise Problem(503, "the back end cannot be reached", retry_after_s=2) from None
        except httpx2.HTTPError as error:
            raise Problem(502, f"the back end broke off ({type(error).__name__})") from None
        finally:
            self._open -= 1
        yield usage

    async def healthy(self) -> bool:
        """Whether one token comes back in time: some engines die while their server goes on answering."""
        self._loop = asyncio.get_running_loop()
        body = {"model": self.model, "messages": [{"role": "user", "content": "?"}], "max_tokens": 1}
        try:
            async with asyncio.timeout(HEALTH_S):
                reply = await self._client.post(f"{self.url}/chat/completions", json=body)
            return reply.status_code == 200 and bool(reply.json()["choices"])
        except (httpx2.HTTPError, TimeoutError, ValueError, KeyError, TypeError):
            return False

    def close(self) -> None:
        """End the connections; called from another thread than that of the event loop."""
        if self._loop is not None and self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result(CONNECT_S)

    def gauges(self) -> dict[str, float]:
        """Requests that the back end has not answered yet."""
        return {"proxy_requests_open": self._open}

    def _body(self, job: Job) -> dict[str, Any]:
        body = job.asked.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=NOT_SENT)
        if isinstance(job.asked, ChatAsked):
            body = {**_defaults(job.candidate), **body}
            if "max_completion_tokens" in body:
                body.pop("max_tokens", None)
            if "response_format" in job.asked.model_fields_set:
                body.pop("structured_outputs", None)
        else:
            body["prompt"] = job.text
        return {**body, "model": self.model, "stream": True, "stream_options": {"include_usage": True}}


def _defaults(candidate: Candidate) -> dict[str, Any]:
    """How the candidate was measured, as parameters; a list of labels in vLLM's form."""
    own = candidate.generation
    body: dict[str, Any] = {"max_tokens": own.max_new_tokens, "temperature": own.temperature}
    if own.json_schema is not None:
        schema = json.loads(own.json_schema)
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    if own.choices:
        body["structured_outputs"] = {"choice": list(own.choices)}
    return body if candidate.kind != "recorded" else {}


async def _chunks(reply: httpx2.Response) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON objects of a stream of events, up to its end."""
    if not reply.headers.get("content-type", "").startswith("text/event-stream"):
        raise Problem(502, "the back end answered with no stream of events")
    async for line in reply.aiter_lines():
        if len(line) > _LINE:
            raise Problem(502, "the back end sent a line without end")
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or not data:
            continue
        if data == "[DONE]":
            return
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise Problem(502, "the back end sent what is no JSON") from None
        if isinstance(chunk, dict):
            yield chunk
    raise Problem(502, "the back end broke off")


def _part(choice: dict[str, Any]) -> Part:
    delta = choice.get("delta") or {}
    text = delta.get("content") or choice.get("text") or ""
    finish = choice.get("finish_reason")
    end: Finish | None = None if finish is None else ENDS.get(finish, "stop")
    return Part(int(choice.get("index") or 0), text, _scores(choice.get("logprobs")), end, calls=tuple(delta.get("tool_calls") or ()))


def _scores(logprobs: dict[str, Any] | None) -> tuple[TokenScore, ...]:
    if not logprobs:
        return ()
    if "content" in logprobs:  # the form of chats
        rows = [
            (one["token"], one["logprob"], [(t["token"], t["logprob"]) for t in one["top_logprobs"]]) for one in logprobs["content"] or ()
        ]
    else:
        tops = logprobs.get("top_logprobs") or [{}] * len(logprobs["tokens"])
        rows = [(*pair, list((top or {}).items())) for *pair, top in zip(logprobs["tokens"], logprobs["token_logprobs"], tops, strict=True)]
    return tuple(TokenScore(token, value or 0.0, tuple(top)) for token, value, top in rows)


def _refused(status: int, content: bytes, retry_after: str | None) -> Problem:
    try:
        fault = json.loads(content)["error"]
        message, param, code = str(fault["message"]), fault.get("param"), fault.get("code")
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        message, param, code = "", None, None
    if status in (401, 403, 404) or 300 <= status < 400:
        return Problem(502, f"the back end refuses the gateway ({status}); correct its address, its key or the name of the model")
    if status == 429 or status == 503:
        wait = float(retry_after) if retry_after and retry_after.isdecimal() else 2.0
        return Problem(status, "the back end is busy", retry_after_s=wait)
    if 400 <= status < 500:
        return Problem(status, short(message) or f"the back end refuses the request ({status})", param, None if code is None else str(code))
    return Problem(502, f"the back end failed ({status})")
